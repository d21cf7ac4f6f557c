"""Expressions as SQL: conditions, orders and statements that mean the same on every database."""
