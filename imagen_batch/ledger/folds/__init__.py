"""The states that the ledger's records are folded into: open attempts, charges, and the state of each sample."""
