"""Who may call, and what: keys, certificates, scopes, the audit log. Decisions are pure; `watched` reads files."""
