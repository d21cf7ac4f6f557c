"""Another key, another storage, another registry, or nowhere: moving, transferring and deleting artifacts."""
