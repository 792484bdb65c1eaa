"""The composition root of an API worker, in parts."""
