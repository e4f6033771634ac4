"""Tells people and other programs how a run ended: messages, pings, metrics."""
