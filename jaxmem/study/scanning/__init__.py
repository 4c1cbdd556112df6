"""Scans: one question asked at every point of a design."""
