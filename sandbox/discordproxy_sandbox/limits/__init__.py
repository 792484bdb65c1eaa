"""Discord's rate limits as formulas."""
