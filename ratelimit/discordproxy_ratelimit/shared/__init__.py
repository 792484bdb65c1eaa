"""State that all workers share in Redis: claims with results, tables of records, and the registry of workers."""
