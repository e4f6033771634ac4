"""Finds TrueType fonts of this machine for characters that the built-in font does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

_FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts"),
)
_MAX_FILES = 20_000
# Fonts with many scripts first, then those with Chinese, Japanese and Korean characters.
_KNOWN = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "FreeSans.ttf", "Arial Unicode.ttf", "arialuni.ttf", "arial.ttf"),
    *("LiberationSans-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansArabic-Regular.ttf"),
    *("NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "DroidSansFallbackFull.ttf"),
    *("DroidSansFallback.ttf", "wqy-microhei.ttc", "wqy-zenhei.ttc", "ipag.ttf", "ipaexg.ttf", "NanumGothic.ttf"),
    *("msgothic.ttc", "simsun.ttc", "malgun.ttf", "unifont.ttf", "Symbola.ttf"),
)


def system_fonts(folders: Sequence[str] = _FOLDERS) -> Iterator[Path]:
    """Yield the known fonts that this machine has, in the order in which they should be tried."""
    found: dict[str, Path] = {}
    for path in _files(folders):
        found.setdefault(path.name, path)
    yield from (found[name] for name in _KNOWN if name in found)


def _files(folders: Sequence[str]) -> Iterator[Path]:
    seen = 0
    for folder in folders:
        try:
            paths = sorted(Path(folder).expanduser().rglob("*.tt[fc]"))
        except (OSError, RuntimeError):  # RuntimeError: no home
            continue
        for path in paths:
            seen += 1
            if seen > _MAX_FILES:
                return
            yield path
