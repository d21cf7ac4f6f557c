"""Names: keys of artifacts, paths of objects and roots of storages. Text only, no access to any storage."""
