"""The keys of requests: the same key means the same request.

It is the same when everything that decides the picture is. Nothing else counts: not the row number, the file
name, a clock or a run. So reordering rows, inserting some or mending a typo re-makes only what changed.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from hashlib import sha256

import orjson

from imagen_batch.records import Options

_OPTION_NAMES = tuple(sorted(field.name for field in fields(Options)))

FAMILIES = {"gemini": "google", "vertex": "google", "simulator": "simulator"}
"""Provider -> family. Google's two hosts serve the same models; a simulated picture never counts as real."""


class RowKeys:
    """Hands out base keys and counts how often the same content was seen: equal rows are wanted variants."""

    def __init__(self, provider: str) -> None:
        self._family = FAMILIES[provider]
        self._seen: dict[bytes, int] = {}
        self._seen_earlier: dict[bytes, int] | None = None  # from the first row on whose text was another one

    def base_key(self, *, model: str, prompt: str, options: Options) -> str:
        """The identity of a row's pictures, 64 hex digits; sample numbers are not in it."""
        return self.base_keys(model=model, prompt=prompt, options=options)[0]

    def base_keys(
        self, *, model: str, prompt: str, options: Options, earlier_prompt: str | None = None
    ) -> tuple[str, str | None]:
        """The same, and what an earlier version would have given; None where that is no other.

        `earlier_prompt` is the text that an earlier version would have sent, where that is another one.
        """
        content = earlier_content = _digest(self._family, model, prompt, options)
        if earlier_prompt is not None:
            earlier_content = _digest(self._family, model, earlier_prompt, options)
            self._seen_earlier = dict(self._seen) if self._seen_earlier is None else self._seen_earlier
        base = _counted(content, self._seen)
        if self._seen_earlier is None:
            return base, None
        earlier = _counted(earlier_content, self._seen_earlier)
        return base, None if earlier == base else earlier


def deciding(options: Options, *, dialect: str) -> Options:
    """The options that tell rows apart. Billing labels decide nothing about a picture.

    Those of `predict` count all the same, because they always did.
    """
    if options.labels is None or dialect == "predict":
        return options
    return replace(options, labels=None)


def request_key(base: str, first: int, samples: int) -> str:
    """The identity of one request: its row's base and the sample range."""
    return sha256(f"{base}:{first}+{samples}".encode()).hexdigest()


def _counted(content: bytes, seen: dict[bytes, int]) -> str:
    """The key of this content, another one for each time that it was seen."""
    short = content[:12]
    occurrence = seen.get(short, 0) + 1
    seen[short] = occurrence
    if occurrence == 1:
        return content.hex()
    return sha256(content + b"#%d" % occurrence).hexdigest()


def _digest(family: str, model: str, prompt: str, options: Options) -> bytes:
    return sha256(orjson.dumps([family, model, prompt, _given(options)])).digest()


@lru_cache(maxsize=1024)  # most rows of a file ask for the same
def _given(options: Options) -> dict[str, object]:
    """Options that are not given leave no trace, so that a new option of a later version changes no key."""
    return {name: value for name in _OPTION_NAMES if (value := getattr(options, name)) is not None}
