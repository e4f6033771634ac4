"""Sends a message with apprise, in a process of its own that has ten seconds.

A service that hangs, a plug-in that fails and threads that apprise leaves behind end with that process. The
addresses hold secrets: they travel through its standard input, and no text of apprise is shown.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.monitoring.end_message import Message
from imagen_batch.prompts.sources import read_small
from imagen_batch.system.child_env import child_environment

LIMIT_S = 10.0
"""What a notification may cost a run at most."""

_PROGRAM = ("-P", "-m", "imagen_batch.monitoring.notify_child")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "REQUESTS_CA_BUNDLE")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_MAX_SENT = 4000  # characters; most services cut longer messages


def collect_addresses(urls: Sequence[str], file: str | None) -> tuple[str, ...]:
    """Return the addresses of the settings and those of a file, one a line; `#` begins a comment.

    Raises SettingsInvalid, which shows none of them.
    """
    lines: list[str] = []
    if file is not None:
        try:
            lines = read_small(Path(file)).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            raise SettingsInvalid("the file of --notify-file can't be read") from None
    listed = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    addresses = (*urls, *listed)
    for number, address in enumerate(addresses, 1):
        if not _ADDRESS.fullmatch(address):
            raise SettingsInvalid(f"notify: address {number} is not one of apprise (SERVICE://...); it is not shown")
    if addresses and find_spec("apprise") is None:
        raise SettingsInvalid("--notify needs: pip install 'imagen-batch[notify]'")
    return addresses


def send(
    message: Message,
    addresses: Sequence[str],
    *,
    limit: float = LIMIT_S,
    program: Sequence[str] = _PROGRAM,
    env: Mapping[str, str] = os.environ,
) -> str | None:
    """Send a message to all addresses; return why that failed, or None. Takes `limit` seconds at most."""
    job = {"title": message.title, "body": message.body[:_MAX_SENT], "urls": list(addresses)}
    try:
        child = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(env, prefixes=_PROXIES),
            start_new_session=True,  # a Ctrl-C at the terminal is for the run
        )
    except OSError as error:
        return error.strerror or type(error).__name__
    try:
        child.communicate(json.dumps(job).encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        return f"no answer within {limit:g} s"
    except (KeyboardInterrupt, SystemExit):  # the run is over: only the message is abandoned
        return "interrupted"
    finally:
        _end(child)
    if child.returncode == 0:
        return None
    failed = child.returncode - 100
    addressees = "1 address" if failed == 1 else f"{failed} addresses"
    return f"{addressees} refused it" if 0 < failed <= len(addresses) else "apprise failed"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(1.0)
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()
