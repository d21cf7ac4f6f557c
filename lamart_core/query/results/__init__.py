"""What a query gives: records, rows, data frames, related records."""
