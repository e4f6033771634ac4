"""Counters that take in the manifest's rows as they stream by, each for one part of the summary."""
