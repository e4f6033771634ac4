"""One run, from opening its folder to its summary."""

from imagen_batch.runs.run.lock_and_open import open_run
from imagen_batch.runs.run.result_counter import OnResults, ResultCounter
from imagen_batch.runs.run.run import Run

__all__ = ["OnResults", "ResultCounter", "Run", "open_run"]
