"""Real keys: where the bytes of the newest version must lie."""
