"""Limits the money that all runs below a root spend in a rolling period (`--max-cost-per 30d=200`).

hourly_charges.py       what one ledger charged, by the hour
spending_below_root.py  what all runs below a root charged, with a cache
reservation_files.py    the money that runs which are running hold
grant.py                the money that this run may spend
"""
