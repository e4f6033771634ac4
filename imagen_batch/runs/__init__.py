"""One run, from taking the folder's lock to writing its summary."""
