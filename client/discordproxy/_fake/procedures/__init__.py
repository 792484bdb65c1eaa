"""Calls of the fake proxy that are more than one object: commands of applications, synchronizations of roles."""
