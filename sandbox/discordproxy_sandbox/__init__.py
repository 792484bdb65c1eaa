"""A local Discord: for trying things without a token, for demos and for tests."""
