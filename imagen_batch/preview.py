"""How is a plan told: what would be asked for, under which names, at what price, in what time?"""

from __future__ import annotations

from dataclasses import asdict

import orjson

from imagen_batch.compare import Changes
from imagen_batch.examine import Examined
from imagen_batch.remaining import Remaining
from imagen_batch.wording import plural


def plan_text(examined: Examined, left: Remaining, changes: Changes | None = None) -> str:
    """The plan for people, aligned lines."""
    settings = examined.settings
    models = ", ".join(f"{model} ({plural(count, 'picture')})" for model, count in examined.pictures_of.most_common())
    lines = [
        ("rows", _part(examined, examined.rows, examined.wanted_rows)),
        *([("changes", _changes(changes))] if changes is not None else []),
        ("pictures", _part(examined, examined.samples, examined.wanted_samples)),
        ("requests", _requests(examined, left)),
        ("models", models),
        ("price", _price(examined, left)),
        ("time", _time(examined, left)),
        ("disk", f"up to about {_size(examined.disk_bytes)}"),
        ("out", settings.place),
        (
            "names",
            ", ".join([*examined.names, "..."] if examined.rows > len(examined.names) else examined.names),
        ),
    ]
    return "\n".join(f"{label:<9} {text}" for label, text in lines) + "\nNothing was sent."


def plan_json(examined: Examined, left: Remaining, changes: Changes | None = None) -> str:
    """The plan for programs, one JSON object."""
    known = left.unpriced == 0
    minutes = _minutes(examined, left)
    return orjson.dumps(
        {
            "schema_version": 1,
            "state": "planned",
            "out": examined.settings.place,
            "rows": examined.rows,
            "samples": examined.samples,
            "requests": examined.requests,
            "requests_left": left.requests,
            "samples_left": left.samples,
            "models": dict(examined.pictures_of),
            "worst_case_usd": round(left.usd, 6) if known else None,
            "unpriced": left.unpriced,
            "disk_bytes": examined.disk_bytes,
            "seconds_at_given_rate": None if minutes is None else minutes * 60,
            "names": examined.names,
            "warnings": examined.warnings,
            "rows_asked_for": examined.wanted_rows,
            "samples_asked_for": examined.wanted_samples,
            "changes": None if changes is None else asdict(changes),
        },
        option=orjson.OPT_INDENT_2,
    ).decode()


def _part(examined: Examined, whole: int, wanted: int) -> str:
    """How many of the input, and how many of them this run asks for."""
    if whole == wanted:
        return f"{whole}"
    why = "the file names" if examined.only is not None else f"--limit {examined.settings.limit} asks for"
    return f"{whole} in the input; {why} {wanted} of them"


def _changes(changes: Changes) -> str:
    """Against the input that the folder has."""
    said = f"{changes.new} new, {changes.changed} changed, {changes.gone} gone"
    if changes.images:
        said += f"; {plural(changes.images, 'image')} of earlier rows stay on disk, but leave the tables"
    return said


def _requests(examined: Examined, left: Remaining) -> str:
    if left.requests == examined.requests:
        return f"{examined.requests}"
    return f"{left.requests} still to send, for {plural(left.samples, 'picture')}; the others are in the folder"


def _price(examined: Examined, left: Remaining) -> str:
    said = f"at most ${left.usd:.2f} if each request is sent once"
    if examined.settings.provider == "simulator":
        said += " (what Google would ask; the simulator asks nothing)"
    if left.unpriced:
        said += f"; no known price for {plural(left.unpriced, 'picture')}: give --price USD"
    return said


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _time(examined: Examined, left: Remaining) -> str:
    minutes = _minutes(examined, left)
    if minutes is None:
        return "unknown: no --requests-per-minute given, the rate is found while running"
    per_minute = examined.settings.requests_per_minute
    return f"at least {minutes:.1f} minutes at {per_minute:g} requests a minute"


def _minutes(examined: Examined, left: Remaining) -> float | None:
    per_minute = examined.settings.requests_per_minute
    return None if per_minute is None else left.requests / per_minute
