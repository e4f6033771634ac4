"""Reduces the environment for child processes: what they need to run, and no key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

_NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR"),
        *("TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "LD_PRELOAD"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy", "DO_NOT_TRACK"),
        # Windows and macOS do not start a process without some of these.
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"),
        *("PROGRAMDATA", "NUMBER_OF_PROCESSORS", "__CF_USER_TEXT_ENCODING"),
    }
)
_PREFIXES = ("PYTHON", "LC_", "XDG_", "DYLD_", "MALLOC_", "COVERAGE_")
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")  # anywhere in a name


def child_environment(env: Mapping[str, str] = os.environ, *, prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Select the variables of `env` for a child. `prefixes` begin further names that this child needs."""
    requested = {name for name in env if name.startswith(prefixes) and not name.endswith("API_KEY")}
    return {name: value for name, value in env.items() if name in requested or _is_harmless(name)}


@contextmanager
def reduced_environment(env: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Hide what a child must not get, while one is started without an environment of its own (multiprocessing).

    Call it in the main thread, before other threads read the environment.
    """
    before = dict(env)
    for name in before.keys() - child_environment(env).keys():
        del env[name]
    try:
        yield
    finally:
        env.update(before)


def _is_harmless(name: str) -> bool:
    known = name in _NAMES or name.upper() in _NAMES or name.startswith(_PREFIXES)
    return known and not any(word in name.upper() for word in _SECRETS)
