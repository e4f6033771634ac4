"""Checks what the environment and the current folder would change about a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from imagen_batch.checks.finding import Finding, ok, warning
from imagen_batch.text import one_line

_MAX_NAMES = 5
_MAX_ENTRIES = 2000
_OWN_FLOWS = "flows"  # the folder of deployable examples in this project


def check_proxy(base_url: str) -> Iterator[Finding]:
    """Check whether requests to `base_url` go through a proxy of the environment."""
    proxies = get_environ_proxies(base_url)
    proxy = proxies.get(urlsplit(base_url).scheme) or proxies.get("all")
    if not proxy:
        yield ok("proxy", "none: requests go to the service directly")
        return
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        host = "an address that is not valid"
    yield warning(
        "proxy",
        f"requests go through the proxy {one_line(host, 100)}",
        "if that is not meant, unset HTTPS_PROXY and ALL_PROXY, or name the service in NO_PROXY",
    )


def check_shadows(here: Path, *, path: list[str] | None = None) -> Iterator[Finding]:
    """Check for files and packages in `here` that hide others of their name in Python programs started there."""
    names = list(_shadows(here, sys.path if path is None else path))
    if not names:
        yield ok("folder", "nothing in the current folder hides a Python package")
        return
    shown = ", ".join(one_line(name, 60) for name in names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    yield warning(
        "folder",
        f"in the current folder, {shown}{more} would be imported before any other module of that name",
        "imagen-batch itself is not affected; rename it, or start your own programs from here with python -P",
    )


def _shadows(here: Path, path: list[str]) -> Iterator[str]:
    other_entries = [entry for entry in path if entry and not _is_same(Path(entry), here)]
    try:
        entries = sorted(here.iterdir())[:_MAX_ENTRIES]
    except OSError:
        return
    for entry in entries:
        name = _module_name(entry)
        if name is None:
            continue
        hides_flows = name == _OWN_FLOWS and not _is_this_project(here)
        if hides_flows or _exists(name, other_entries, but=entry):
            yield entry.name


def _module_name(entry: Path) -> str | None:
    if entry.suffix == ".py" and entry.stem.isidentifier():
        return entry.stem
    is_package = entry.name.isidentifier() and (entry.name == _OWN_FLOWS or (entry / "__init__.py").is_file())
    return entry.name if is_package and entry.is_dir() else None


def _exists(name: str, path: list[str], *, but: Path) -> bool:
    spec = PathFinder.find_spec(name, path)
    if spec is None or spec.origin is None:
        return False
    found = Path(spec.origin)
    return not _is_same(found, but if but.is_file() else but / "__init__.py")


def _is_this_project(here: Path) -> bool:
    return _is_same(here / "imagen_batch", Path(__file__).parents[1])


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - one of them need not exist
    except OSError:
        return False


def check_environment(env: Mapping[str, str]) -> Iterator[Finding]:
    """Report the names of the variables that change a run's settings, without their values."""
    names = sorted(name for name in env if name.startswith("IMAGEN_BATCH_"))
    if names:
        yield ok("environment", f"settings come from {', '.join(names)}")
