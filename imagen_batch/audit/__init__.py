"""Checks whether files, ledger and tables of a finished run agree, and repairs what does not."""
