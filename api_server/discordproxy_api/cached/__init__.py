"""Reads that the gateway's caches may answer, what the proxy itself wrote, and permissions computed from both."""
