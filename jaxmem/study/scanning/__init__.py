"""Scans: one question asked at every point of a design, in chunks that survive anything, on every core and machine."""
