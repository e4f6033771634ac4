"""Builds manifest rows for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagen_batch.records import ManifestRow, Options, Outcome, PromptRow, RequestTrace, SampleResult


def entry(
    row: int = 1,
    *,
    status: Outcome = "ok",
    number: int = 1,
    prompt: str = "a red fox",
    user: Mapping[str, str] | None = None,
    cells: Mapping[str, str] | None = None,
    trace: Mapping[str, Any] | None = None,
    **sample: Any,
) -> ManifestRow:
    """Return a manifest row; further arguments are fields of its sample."""
    own = dict(user or {})
    made = {"file": f"images/{row:06d}_{number:02d}.png", "mime_type": "image/png"} if status == "ok" else {}
    return ManifestRow(
        row=PromptRow(
            row=row,
            line=row + 1,
            prompt=prompt,
            cells={"prompt": prompt, **own} if cells is None else cells,
            user=own,
        ),
        sample=SampleResult(number=number, status=status, **(made | sample)),
        trace=RequestTrace(**{"key": f"{row:064x}", "attempts": 1, "http_status": 200, **(trace or {})}),
        model="gemini-nano-banana-2.1",
        provider="simulator",
        dialect="generate_content",
        prompt=prompt,
        options=Options(),
    )
