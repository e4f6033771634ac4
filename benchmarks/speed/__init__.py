"""Benchmarks of CPU, memory, latency and start-up, each compared with a baseline."""
