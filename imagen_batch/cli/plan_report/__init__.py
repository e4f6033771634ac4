"""Prints a plan as text and JSON: what would be sent, under which names, at what price, in what time."""

from imagen_batch.cli.plan_report.dry_run import Preview, open_preview
from imagen_batch.cli.plan_report.facts import planned_shapes
from imagen_batch.cli.plan_report.json_form import plan_facts, plan_json
from imagen_batch.cli.plan_report.text import plan_text

__all__ = ["Preview", "open_preview", "plan_facts", "plan_json", "plan_text", "planned_shapes"]
