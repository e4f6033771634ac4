"""Keeps a run in an object store: a bucket of S3, Google Cloud Storage or Azure."""
