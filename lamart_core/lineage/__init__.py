"""Runs, their inputs and outputs, and the graph they form."""
