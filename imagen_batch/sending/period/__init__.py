"""Limits the money that all runs below a root spend in a rolling period (`--max-cost-per 30d=200`).

budget_root.py          the folder whose runs share the money, and its lock
hourly_charges.py       what one ledger charged, by the hour
spending_below_root.py  what all runs below a root charged, with a cache
reservation_files.py    the money that runs in progress hold
usd_by_run.py           what each run takes of a limit
grant.py                the money that this run may spend
room_left.py            what the limits leave, for a plan
"""
