"""Parameters from what was measured: targets, bounds, methods, and what the data cannot tell."""
