"""Sends one request from start to finish: pace, budget, retries, record."""
