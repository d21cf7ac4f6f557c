"""What a query asks: expressions, lookups, and paths over the fields and relations of record classes."""
