"""The private Valkey of a machine, and checks of the server in use."""
