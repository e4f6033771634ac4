"""CPU, memory, latency and start-up, each against something run beside it."""
