"""Formats figures as OpenMetrics text and replaces a file with them, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric

PREFIX = "imagen_batch"


def format_families(families: Callable[[], Iterable[Metric]]) -> bytes:
    """Return the text of the file."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - only with --metrics
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415

    class Collector:
        def collect(self) -> Iterator[Metric]:
            yield from families()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text


def gauge(name: str, text: str, values: list[tuple[dict[str, str], float]]) -> Metric:
    """Return a gauge with a value for each set of labels, which all have the same names."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    labels = list(values[0][0]) if values else ["run"]
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(list(label_values.values()), value)
    return family


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file in one step. Raises OSError, and leaves nothing else in the folder."""
    _check_replaceable(path)
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o644)  # noqa: PTH101 - the collector is another user
        Path(part).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(part).unlink()
        raise


def _check_replaceable(path: Path) -> None:
    """Raise OSError for a device, a pipe or a socket: for root, a rename would replace /dev/null itself."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and not a file")
