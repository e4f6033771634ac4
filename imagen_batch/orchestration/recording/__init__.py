"""Records a run in Prefect over its HTTP API, during the run or after it, without importing Prefect."""
