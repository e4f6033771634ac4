"""The only place that knows Prefect. Take the decorators off and the job still runs."""
