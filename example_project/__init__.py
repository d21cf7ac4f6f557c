"""A single-cell pipeline on the registry."""
