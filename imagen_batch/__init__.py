"""Makes the images of a prompt file, with a manifest and a summary of what failed.

    from imagen_batch import open_images, plan, read_manifest, run

    summary = run("book.csv", provider="simulator")
    manifest = read_manifest(summary.facts.out)
    for row, image in open_images(summary.facts.out):
        image.show(row["prompt"])

Names are imported on first use, so that `import imagen_batch` and `imagen-batch --help` stay fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imagen_batch.version import __version__

if TYPE_CHECKING:
    from imagen_batch.api import open_images, plan, read_manifest, run
    from imagen_batch.errors import FolderBusy, ImagenBatchError, InputInvalid, LedgerDamaged, SettingsInvalid
    from imagen_batch.reports.summary import Summary
    from imagen_batch.settings import Settings

__all__ = [
    "FolderBusy",
    "ImagenBatchError",
    "InputInvalid",
    "LedgerDamaged",
    "Settings",
    "SettingsInvalid",
    "Summary",
    "__version__",
    "open_images",
    "plan",
    "read_manifest",
    "run",
]

_MODULES = {
    **dict.fromkeys(("open_images", "plan", "read_manifest", "run"), "imagen_batch.api"),
    **dict.fromkeys(
        ("FolderBusy", "ImagenBatchError", "InputInvalid", "LedgerDamaged", "SettingsInvalid"), "imagen_batch.errors"
    ),
    "Settings": "imagen_batch.settings",
    "Summary": "imagen_batch.reports.summary",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names before they are imported, for tab completion."""
    return sorted({*globals(), *__all__})
