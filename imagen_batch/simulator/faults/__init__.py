"""Defines the faults that the simulator can inject, and the rules that choose them."""
