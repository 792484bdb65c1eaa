"""Channels and their messages, pins, polls, reactions, threads and invites."""
