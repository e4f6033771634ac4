"""Runs shards in other processes, on this machine or on many."""
