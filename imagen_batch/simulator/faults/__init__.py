"""What the simulator can be told to do wrong."""
