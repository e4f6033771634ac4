"""Keeps the append-only record of what was sent, what came back and what it cost."""
