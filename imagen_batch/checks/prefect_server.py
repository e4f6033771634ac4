"""Checks the Prefect server that a run would report to."""

from __future__ import annotations

import json
import os
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from imagen_batch.checks.finding import Finding, ok, problem, warning
from imagen_batch.orchestration.server.reachability import find_unreachable_reason, show_address
from imagen_batch.text import one_line

_TIMEOUT_S = 5.0


def check_prefect(env: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Check that the server at PREFECT_API_URL answers, or that a run can start one of its own."""
    try:
        installed = version("prefect")
    except PackageNotFoundError:
        yield problem("prefect", "Prefect is not installed", "run: pip install --force-reinstall imagen-batch")
        return
    url = env.get("PREFECT_API_URL")
    yield from _check_server(url, installed) if url else _check_home(env, installed)


def _check_server(url: str, installed: str) -> Iterator[Finding]:
    shown = one_line(show_address(url), 200)
    if (reason := find_unreachable_reason(url, timeout=_TIMEOUT_S)) is not None:
        yield problem(
            "prefect",
            f"no Prefect server answers at PREFECT_API_URL={shown}: {one_line(reason, 200)}",
            "start that server, or unset PREFECT_API_URL: the run then starts its own",
        )
        return
    theirs = _server_version(url)
    if theirs is None:
        yield ok("prefect", f"a server answers at {shown}; Prefect {installed} is installed here")
    elif theirs.split(".")[:2] != installed.split(".")[:2]:
        yield warning(
            "prefect",
            f"the server at {shown} is Prefect {one_line(theirs, 30)}, and {installed} is installed here",
            "use the same minor version on both sides",
        )
    else:
        yield ok("prefect", f"the server at {shown} is Prefect {one_line(theirs, 30)}; {installed} is installed here")


def _check_home(env: Mapping[str, str], installed: str) -> Iterator[Finding]:
    home = Path(env.get("PREFECT_HOME") or Path.home() / ".prefect").absolute()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        yield problem(
            "prefect", f"PREFECT_HOME {one_line(str(home), 200)} can't be used: {error.strerror}", "set another one"
        )
        return
    yield ok(
        "prefect", f"Prefect {installed}: a run starts its own server, with its data in {one_line(str(home), 200)}"
    )


def _server_version(url: str) -> str | None:
    with suppress(OSError, HTTPException, ValueError):
        request = urllib.request.Request(url.rstrip("/") + "/admin/version")  # noqa: S310 - the scheme was checked
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            text = json.loads(reply.read(1000))
            return text if isinstance(text, str) else None
    return None
