"""Test helpers for applications. Only tests use them."""
