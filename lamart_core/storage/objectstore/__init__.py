"""Object stores as a backend: S3, Azure, Google, and whatever else fsspec reaches."""
