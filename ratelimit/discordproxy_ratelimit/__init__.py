"""The rate-limit broker: all workers behave towards Discord like one well-paced client."""
