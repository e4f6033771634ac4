"""Checks reference images against the limits of a model and its host. (api: 7, 8.1)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from imagen_batch.providers.catalogue import Model
from imagen_batch.records import Problem, PromptRow, Reference
from imagen_batch.text import format_bytes, plural

COLUMN: Final = "references"
REQUEST_BYTES: Final = {"gemini": 100 * 2**20, "vertex": 20 * 2**20, "simulator": 100 * 2**20}
"""The largest size of a request, by provider: base64 of its images, prompt and options."""

_ENVELOPE_BYTES = 16 * 1024  # options, field names, labels
_SCHEMES: Final = {"gemini": ("https",), "vertex": ("gs", "https"), "simulator": ("gs", "https")}


class RequestSize(NamedTuple):
    """The facts that decide how many images, and of what size, fit into a request."""

    model: Model
    prompt: str
    provider: str


def largest_file(provider: str) -> int:
    """Return the size in bytes of the largest file that fits into a request at all."""
    return (REQUEST_BYTES[provider] - _ENVELOPE_BYTES) // 4 * 3


def check_references(row: PromptRow, references: Sequence[Reference], request: RequestSize) -> Iterator[Problem]:
    """Yield the problems of a row's references, of all together and of each one."""
    model, allowed = request.model, request.model.references_allowed
    if not references:
        return
    if not allowed:
        yield _problem(row, model.id, f"{model.id} takes no reference images; the Gemini image models do")
        return
    if len(references) > allowed:
        message = f"{plural(len(references), 'reference image')}, and {model.id} takes at most {allowed} in a request"
        yield _problem(row, str(len(references)), message)
    for uri in (each.uri for each in references if each.uri):
        if why := _explain_unusable(uri, request):
            yield _problem(row, uri, why)
    size, most = request_bytes(references, request.prompt), REQUEST_BYTES[request.provider]
    if size > most:
        message = f"the request would have {format_bytes(size)} with these images; it may have {format_bytes(most)}"
        yield _problem(row, plural(len(references), "reference image"), message)


def request_bytes(references: Sequence[Reference], prompt: str) -> int:
    """Return the size of a request with these images, as base64, and this prompt."""
    images = sum(-(-each.bytes // 3) * 4 + len(each.uri or "") for each in references)
    return images + len(prompt.encode("utf-8", "surrogatepass")) + _ENVELOPE_BYTES


def _explain_unusable(uri: str, request: RequestSize) -> str | None:
    """Return why the host can't read an address; None if it can."""
    scheme = uri.partition(":")[0].lower()
    schemes = _SCHEMES[request.provider]
    if scheme not in schemes:
        known = " and ".join(f"{name}://" for name in schemes)
        return f"provider {request.provider} reads images at {known}, not {scheme}://; download it and name the file"
    if "@" in urlsplit(uri).netloc:
        return "the address contains a user name or a password, which would be stored; leave it out"
    return None


def _problem(row: PromptRow, found: str, message: str) -> Problem:
    return Problem(row.line, COLUMN, found, message)
