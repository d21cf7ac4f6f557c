"""Dagster on the artifact registry: IO manager, resources and metadata."""
