"""Makes, lists and serves Prefect deployments of the flow, and makes up for dates that were missed.

specification.py       what a deployment is made of, as plain values
create_and_serve.py    the deployments of a Prefect server
date_and_due_check.py  what a scheduled flow run is for: its date, its job, and whether it is still due
made_dates.py          which dates of a job have been made
backfill_dates.py      makes the runs of several dates
"""
