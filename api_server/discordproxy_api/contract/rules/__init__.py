"""What Discord asks of a request, known before it is sent: limits and rules, pure."""
