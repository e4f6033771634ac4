"""Sums up a run: how many images were made, why others are missing, what it cost, and what to do next."""

from imagen_batch.reports.summary.builder import SummaryBuilder
from imagen_batch.reports.summary.facts import RETRY_LATER, RunFacts, State, StopReason
from imagen_batch.reports.summary.state_and_exit_code import exit_code
from imagen_batch.reports.summary.summary import Summary

__all__ = ["RETRY_LATER", "RunFacts", "State", "StopReason", "Summary", "SummaryBuilder", "exit_code"]
