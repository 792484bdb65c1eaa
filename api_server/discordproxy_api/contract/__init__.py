"""The contract as data: routes, validation, translation."""
