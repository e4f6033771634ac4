"""Renders a summary as JSON for programs, and as text for a terminal and a page."""

from imagen_batch.reports.render.json_form import to_json, to_json_text
from imagen_batch.reports.render.markdown import to_markdown
from imagen_batch.reports.render.sentences import cost
from imagen_batch.reports.render.terminal import to_terminal

__all__ = ["cost", "to_json", "to_json_text", "to_markdown", "to_terminal"]
