"""Registries, database engines and transactions."""
