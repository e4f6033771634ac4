"""Carries out one run, from taking the folder's lock to writing its summary."""
