"""Reads and checks a whole prompt file before anything is sent, and makes the plan of a run of it."""
