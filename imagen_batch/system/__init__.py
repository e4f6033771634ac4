"""Deals with this process and this machine: addresses, loopback, child environments, standard streams."""
