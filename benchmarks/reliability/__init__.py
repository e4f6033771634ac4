"""Kills, full disks, lost replies, budgets: what must hold whatever happens."""
