"""Lists the models that the simulator serves, with the options and the pixel sizes of each."""
