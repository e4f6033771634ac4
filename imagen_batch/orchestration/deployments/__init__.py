"""Makes, lists and serves Prefect deployments of the flow, and makes up for dates that were missed.

specification.py       what a deployment is made of, as plain values
create_and_serve.py    the deployments of a Prefect server
date_and_due_check.py  what a scheduled flow run is for: its date, and whether it is still due
one_run_per_job.py     the lock of a job, and the end of its killed runs
made_dates.py          which dates of a job have been made
backfill_dates.py      makes the runs of several dates
"""
