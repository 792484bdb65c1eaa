"""The contract as data: routes, translation, validation."""
