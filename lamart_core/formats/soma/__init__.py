"""TileDB-SOMA: folders of TileDB arrays."""
