"""Query expressions, their translation to SQL, and query sets."""
