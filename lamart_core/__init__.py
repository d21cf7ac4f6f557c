"""An artifact registry: versioned, hashed, queryable artifacts with lineage."""
