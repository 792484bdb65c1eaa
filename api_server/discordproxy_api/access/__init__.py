"""Authentication and authorization of callers: keys, certificates, scopes, the audit log."""
