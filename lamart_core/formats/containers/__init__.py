"""What AnnData, MuData and SpatialData have in common."""
