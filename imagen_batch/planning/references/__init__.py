"""Finds and checks the reference images of rows: files, addresses, and images of other rows."""
