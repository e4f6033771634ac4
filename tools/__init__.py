"""Programs for the maintainers of this repository. None of them is installed."""
