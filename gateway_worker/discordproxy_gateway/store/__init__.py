"""State in Redis that outlives a process: lease, session, status, and the fenced scripts."""
