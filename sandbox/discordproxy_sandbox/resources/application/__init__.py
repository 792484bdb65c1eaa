"""The application, its commands, interactions and users."""
