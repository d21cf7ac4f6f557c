"""From artifacts to bytes: path, cache, load, open, and finding the artifact that is meant."""
