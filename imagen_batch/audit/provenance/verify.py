"""Verifies the C2PA data of one image with c2pa-python, without any request over the network."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from imagen_batch.errors import SettingsInvalid
from imagen_batch.text import one_line

State = Literal[
    "valid",  # signed with a trusted root, and unchanged since
    "untrusted",  # unchanged since it was signed, but the signer's root is not among the trusted ones
    "altered",  # changed after it was signed, or its provenance data is damaged
    "none",  # no provenance data
    "unreadable",  # no file, or a type that can't be checked
]
STATES: tuple[State, ...] = get_args(State)

_TRUST = ("signingCredential.", "timeStamp.", "timestamp.")  # codes about the signer, not about the image


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying an image. `signer` is the organization in the certificate."""

    state: State
    signer: str | None = None
    detail: str = ""


Verify = Callable[[bytes, str], Verdict]
"""Verifies the bytes of an image, given its MIME type."""


def make_verifier(trust_anchors: str | None = None) -> Verify:
    """Return a function that verifies images. `trust_anchors` are root certificates in PEM form.

    Raises SettingsInvalid where the extra is not installed or the certificates can't be read.
    """
    try:
        import c2pa  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsInvalid("--provenance needs: pip install 'imagen-batch[c2pa]'") from error
    settings = _settings(trust_anchors)
    try:
        c2pa.Context(c2pa.Settings.from_dict(settings)).close()
    except c2pa.C2paError as error:
        raise SettingsInvalid(f"--trust-anchors: {one_line(str(error), 200)}") from error
    return partial(_verify, c2pa, settings)


def _settings(trust_anchors: str | None) -> dict[str, Any]:
    verify = {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}
    return {"verify": verify, **({"trust": {"trust_anchors": trust_anchors}} if trust_anchors else {})}


def _verify(c2pa: Any, settings: Mapping[str, Any], data: bytes, mime_type: str) -> Verdict:
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(settings)) as context,
            c2pa.Reader(mime_type, io.BytesIO(data), context=context) as reader,
        ):
            return _read_verdict(reader)
    except c2pa.C2paError.ManifestNotFound:
        return Verdict("none")
    except c2pa.C2paError.NotSupported as error:
        return Verdict("unreadable", detail=one_line(str(error), 200))
    except c2pa.C2paError as error:  # present, but no manifest that can be read
        return Verdict("altered", detail=one_line(str(error), 200))


def _read_verdict(reader: Any) -> Verdict:
    manifest = reader.get_active_manifest() or {}
    info = manifest.get("signature_info") or {}
    signer = one_line(str(info.get("issuer") or info.get("common_name") or ""), 120) or None
    failures = list(_failures(reader.get_validation_results() or {}))
    broken = [code for code in failures if not code.startswith(_TRUST)]
    if broken:
        return Verdict("altered", signer, ", ".join(dict.fromkeys(broken))[:200])
    if reader.get_validation_state() == "Trusted":
        return Verdict("valid", signer)
    return Verdict("untrusted", signer, ", ".join(dict.fromkeys(failures))[:200])


def _failures(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the codes of failed checks, of the image itself and of its ingredients."""
    parts = [results.get("activeManifest") or {}]
    parts += [delta.get("validationDeltas") or {} for delta in results.get("ingredientDeltas") or ()]
    for part in parts:
        for failure in part.get("failure") or ():
            yield str(failure.get("code"))
