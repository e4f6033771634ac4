"""Finds, starts, watches and stops the Prefect server of a run."""
