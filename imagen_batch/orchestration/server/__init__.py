"""Finds, starts, watches and outlives the Prefect server of a run."""
