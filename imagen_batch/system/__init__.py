"""Handles this process and this machine: addresses, loopback, child environments, standard streams, locks."""
