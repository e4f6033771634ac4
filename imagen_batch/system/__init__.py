"""This process and this machine: addresses, loopback, children's environments, standard streams."""
