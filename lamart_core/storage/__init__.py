"""Storage locations: where bytes lie, and how they get there."""
