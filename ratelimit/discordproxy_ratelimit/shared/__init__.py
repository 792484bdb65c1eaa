"""State that all workers share in Redis: claims with results, and the registry of workers."""
