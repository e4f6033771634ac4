"""Finds images that were paid for and are not in the ledger, and records them."""
