"""Folds the ledger's records into states: open attempts, charges, and the state of each sample."""
