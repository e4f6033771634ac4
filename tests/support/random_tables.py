"""Prompt tables of every kind, as text of a CSV."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

ROW_CELLS = {
    "id": st.sampled_from(["", "r1", " r2 ", "é"]),
    "prompt": st.sampled_from(
        ["a fox", " a fox ", "狐", '"a, ""b"""', "\u3000x\u3000", "a" * 30, "a fox", "a fox", ""]
    ),
    "samples": st.sampled_from(["", "1", "3", " 2 ", "0", "x"]),
    "aspect_ratio": st.sampled_from(["", "16:9", "1:1", "16 : 9", "odd"]),
    "seed": st.sampled_from(["", "7", "8", "-1"]),
    "model": st.sampled_from(["", "gemini-2.5-flash-image", "no such model"]),
    "style": st.sampled_from(["", "", "", " ", "ink"]),
    "filename": st.sampled_from(["", "", "", "a"]),
    "shape": st.sampled_from(["", "spread"]),
    "chapter": st.sampled_from(["", "1", "one", "2.50"]),
    "api_key": st.sampled_from(["", "secret"]),
    "": st.sampled_from(["", "", "x"]),
}
SOUND_CELLS = {
    **ROW_CELLS,
    "prompt": st.sampled_from(["a fox", " a fox ", "狐", '"a, ""b"""', "\u3000x\u3000", "a" * 30]),
    "samples": st.sampled_from(["", "1", "3", " 2 "]),
    "aspect_ratio": st.sampled_from(["", "16:9", "1:1", "16 : 9"]),
    "seed": st.sampled_from(["", "7", "8"]),
    "model": st.sampled_from(["", "gemini-2.5-flash-image"]),
}


@st.composite
def tables(draw: st.DrawFn, cells: Mapping[str, st.SearchStrategy[str]] = ROW_CELLS) -> str:
    """Draw a CSV with some of the columns, whose lines may have too few or too many cells."""
    names = ["prompt", *draw(st.lists(st.sampled_from([name for name in cells if name != "prompt"]), unique=True))]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [",".join(names)]
    for _ in range(draw(st.integers(1, 12))):
        line = ",".join(draw(cells[name]) for name in names)
        lines.append(
            line + draw(st.sampled_from(["", "", "", "", "", ",", ",more"])) if draw(st.booleans()) else line
        )
    return end.join(lines) + draw(st.sampled_from(["", end]))
