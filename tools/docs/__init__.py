"""Programs that write parts of the documentation and check it."""
