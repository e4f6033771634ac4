"""Finds, compares, records and lists the decisions about images, and takes them into a run."""
