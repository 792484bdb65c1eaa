"""The application, its commands, interactions and webhooks, and users."""
