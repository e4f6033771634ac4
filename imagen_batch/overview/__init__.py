"""Shows runs side by side: a list of all folders, and what changed between two of them."""
