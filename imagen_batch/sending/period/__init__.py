"""Limits the money that all runs below a root spend in a rolling period (`--max-cost-per 30d=200`).

charges.py       what one ledger charged, by the hour
spending.py      what all runs below a root charged, with a cache
reservations.py  the money that runs which are running hold
grant.py         the money that this run may spend
"""
