"""Runs shards: their terms of leadership, connections and sessions."""
