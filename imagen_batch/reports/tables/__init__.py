"""Writes the tables of a run: manifest, failures, dataset."""
