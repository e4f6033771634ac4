"""Turns the ledger into manifest, dataset, failures and summary."""
