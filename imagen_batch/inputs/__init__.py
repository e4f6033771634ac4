"""What a prompt file means for the folder that it is given with: a new input, a patch, an addition."""
