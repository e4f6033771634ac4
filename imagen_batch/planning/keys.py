"""Computes the keys of rows and requests: equal keys mean the same request.

A key depends on everything that decides the image and on nothing else: not on the row number, the file name, the
time or the run. So reordering rows, inserting some or fixing a typo makes again only what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from imagen_batch.records import Options

_PREFIX = 12  # bytes of a digest: 96 bits are enough, and a million rows have to fit into memory
_MAX_TAILS = 1024
_OPTION_NAMES = tuple(sorted(field.name for field in fields(Options)))

FAMILIES = {"gemini": "google", "vertex": "google", "simulator": "simulator"}
"""Provider -> family. Google's two hosts serve the same models; a simulated image never counts as a real one."""


Frame = tuple[bytes, bytes]
"""The JSON before a prompt and the JSON behind it."""


class RowKeys:
    """Computes row keys, and counts how often the same content occurs: equal rows are meant as variants."""

    def __init__(self, provider: str) -> None:
        self._family = FAMILIES[provider]
        self._heads: dict[str, bytes] = {}
        self._tails: dict[int, tuple[Options, bytes]] = {}  # by identity: hashing eighteen fields takes longer
        self._seen: dict[bytes, int] = {}
        # None until the first row that earlier versions sent with another text.
        self._seen_earlier: dict[bytes, int] | None = None

    def row_key(self, *, model: str, prompt: str, options: Options) -> str:
        """Return the key of a row, 64 hex digits; sample numbers are not part of it."""
        return self.row_keys(model=model, prompt=prompt, options=options)[0]

    def row_keys(
        self, *, model: str, prompt: str, options: Options, earlier_prompt: str | None = None
    ) -> tuple[str, str | None]:
        """Return the row key, and the one that an earlier version would have computed; None if it is the same.

        `earlier_prompt` is the text that an earlier version would have sent, if it differs.
        """
        content = earlier_content = self.content(model=model, prompt=prompt, options=options)
        if earlier_prompt is None and self._seen_earlier is None:  # the usual row
            return _numbered_key(content, self._seen), None
        if earlier_prompt is not None:
            earlier_content = self.content(model=model, prompt=earlier_prompt, options=options)
            self._seen_earlier = dict(self._seen) if self._seen_earlier is None else self._seen_earlier
        base = _numbered_key(content, self._seen)
        if self._seen_earlier is None:
            return base, None
        earlier = _numbered_key(earlier_content, self._seen_earlier)
        return base, None if earlier == base else earlier

    def content(self, *, model: str, prompt: str, options: Options) -> bytes:
        """Return the digest of a row's request; reference images are part of it if there are any."""
        if options.references is None:
            return self._digest(model, prompt, options)
        plain = self._digest(model, prompt, replace(options, references=None))
        return with_references(plain, options.references)

    @property
    def has_earlier(self) -> bool:
        """Whether any row so far had another text in earlier versions, so that later rows may have two keys."""
        return self._seen_earlier is not None

    def number(self, contents: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the keys of rows with this content, none of which had another text in earlier versions."""
        seen = self._seen
        for content in contents:
            prefix = content[:_PREFIX]
            if prefix in seen:
                yield bytes.fromhex(_numbered_key(content, seen))
            else:
                seen[prefix] = 1
                yield content

    def digests(self, frames: Iterable[Frame], prompts: Iterable[str]) -> Iterator[bytes]:
        """Yield the digests of requests without reference images."""
        dumps = orjson.dumps
        for (head, tail), prompt in zip(frames, prompts, strict=True):
            yield sha256(b"%b,%b,%b" % (head, dumps(prompt), tail)).digest()

    def frame(self, model: str, options: Options) -> Frame:
        """Return what surrounds the prompt in the JSON whose digest is a row's content."""
        head = self._heads.get(model)
        if head is None:
            head = self._heads[model] = orjson.dumps([self._family, model]).removesuffix(b"]")
        known = self._tails.get(id(options))
        if known is None:
            if len(self._tails) >= _MAX_TAILS:
                self._tails.clear()
            known = self._tails[id(options)] = options, orjson.dumps([set_options(options)]).removeprefix(b"[")
        return head, known[1]

    def _digest(self, model: str, prompt: str, options: Options) -> bytes:
        """Return the SHA-256 of a JSON list of family, model, prompt and options."""
        head, tail = self.frame(model, options)
        return sha256(b"%b,%b,%b" % (head, orjson.dumps(prompt), tail)).digest()

    def occurrences(self, content: bytes) -> int:
        """Return how many rows with this content have been given a key."""
        return self._seen.get(content[:_PREFIX], 0)

    def plain(self, *, model: str, prompt: str, options: Options) -> bytes:
        """Return the digest of a row's request without its reference images."""
        return self.content(model=model, prompt=prompt, options=replace(options, references=None))


def with_references(plain: bytes, identities: Sequence[str]) -> bytes:
    """Return the digest of content with reference images, from the digest of the same content without any."""
    return sha256(plain + orjson.dumps(["references", *identities])).digest()


def identity_options(options: Options, *, dialect: str) -> Options:
    """Return the options that are part of a row's key. Billing labels don't change an image, so they are left out.

    Those of `predict` stay in, because keys have always contained them.
    """
    if options.labels is None or dialect == "predict":
        return options
    return replace(options, labels=None)


def request_key(base: str, first: int, samples: int) -> str:
    """Return the key of one request, computed from its row's key and the range of samples."""
    return sha256(f"{base}:{first}+{samples}".encode()).hexdigest()


def _numbered_key(content: bytes, seen: dict[bytes, int]) -> str:
    """Return the key of this content, a different one for each time that it occurs."""
    prefix = content[:_PREFIX]
    occurrence = seen.get(prefix, 0) + 1
    seen[prefix] = occurrence
    return key_of_occurrence(content, occurrence)


def key_of_occurrence(content: bytes, occurrence: int) -> str:
    """Return the key of a row, given how many rows up to it have the same content."""
    if occurrence == 1:
        return content.hex()
    return sha256(content + b"#%d" % occurrence).hexdigest()


@lru_cache(maxsize=1024)  # most rows of a file ask for the same
def set_options(options: Options) -> dict[str, Any]:
    """Return the options that are set, by name. New ones of a later version change no key."""
    return {name: value for name in _OPTION_NAMES if (value := getattr(options, name)) is not None}
