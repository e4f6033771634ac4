"""Makes the shards of a run: in threads of this process, or as tasks of a Dask or Ray cluster."""
