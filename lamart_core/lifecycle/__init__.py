"""From bytes to artifacts and back: one verb, one file."""
