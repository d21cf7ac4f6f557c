"""Content hashes of files and folders."""
