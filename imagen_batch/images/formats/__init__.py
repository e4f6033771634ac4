"""One module for each image format: what makes a file of it whole."""
