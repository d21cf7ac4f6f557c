"""File formats and the objects that they hold."""
