"""Which samples of a row a run makes beyond the first version of each: replacements and further versions."""
