"""Makes the manifest's rows in blocks of columns: those of ordinary images directly from the ledger's text."""
