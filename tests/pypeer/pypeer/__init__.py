"""A peer of noroshid in Python, written from docs/ alone. See ../README.md."""
