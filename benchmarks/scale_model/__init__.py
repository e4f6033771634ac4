"""A model of very large jobs."""
