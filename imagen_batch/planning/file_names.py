"""Makes the file names of images.

A name comes from the row's number, from a cell of the user's, or from a template over such cells. Cells are data:
whatever they contain, the name stays below the run's `images` folder and is valid on every common system.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping

from imagen_batch.text import did_you_mean

_FOLDER = "images/"
_SEGMENT_BYTES = 120  # leaves room for sample, key and extension below the usual limit of 255
_MAX_SEGMENTS = 8
_MAX_LISTED = 12  # names of columns
_SLUG_BYTES = 80  # leaves room in a segment for what a template adds
_SLUG_READS = 1000  # characters; a prompt may have 150,000, and a name is made of its first words

_ABSOLUTE = re.compile(r"\s*([/\\]|[A-Za-z]:[/\\])")
# Control characters, line separators, direction overrides (a name must not read backwards), lone halves of
# surrogate pairs (no UTF-8), and what Windows refuses.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff<>:"|?*]')
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
_SPACES = re.compile(r"\s{2,}")
_TAIL = re.compile(r"[.\s]+$")
_EXTENSIONS = re.compile(r"(\.(png|jpe?g|webp|gif)[.\s]*)+$", re.IGNORECASE)
_PADDING = re.compile(r"0(\d{1,2})d?")
_INTEGER = re.compile(r"-?[0-9]+")

# With these words the loaders of `datasets` take a file for part of a split, and leave out all other files.
_SPLIT_WORD = re.compile(
    r"(?:^|(?<=[-._ 0-9/]))"
    r"(train|training|validation|valid|val|dev|test|testing|eval|evaluation)"
    r"(?=[-._ 0-9/]|$)"
)
_SPLIT_WORD_IN_ANY_CASE = re.compile(_SPLIT_WORD.pattern, re.IGNORECASE)


def default_stem(row: int) -> str:
    """Return the stem for a row without a name of its own: digits only, so that no loader finds a word in it."""
    return f"{_FOLDER}{row:06}"


def stem_from(text: str) -> str:
    """Return the stem for a `filename` cell. Raises ValueError, with a sentence, for what leaves the folder."""
    if _ABSOLUTE.match(text):
        raise ValueError(f"{text!r} is an absolute path; a file name is relative to the run's images folder")
    segments = _segments(text.replace("\\", "/"))
    if ".." in segments:
        raise ValueError(f"{text!r} leads out of the folder with '..'")
    return _stem(segments, source=text)


def stem_from_template(template: str, values: Mapping[str, str | int]) -> str:
    """Return the stem for a template such as `{chapter:02}/{page:03}-{slug}`, which `check_template` has accepted.

    Only a "/" of the template makes a folder; one in a value does not. The name has no words that split a dataset.
    Raises ValueError if nothing is left.
    """
    return without_split_words(_stem(_segments(_render(template, values)), source=template))


def check_template(template: str, fields: Collection[str]) -> None:
    """Raise ValueError, with a sentence, unless `template` makes a name from `fields` only."""
    stem_from(_render(template, dict.fromkeys(fields, "x")))


def template_fields(template: str) -> frozenset[str]:
    """Return the fields that a template names. Raises ValueError for a malformed template."""
    return frozenset(name for _, name, _, _ in _parse(template) if name is not None)


def image_name(stem: str, *, sample: int, key: str, extension: str, named: bool, samples: int) -> str:
    """Return the name below the run's folder. `named`: the user chose the stem, so as little as possible is added."""
    if not named:
        return f"{stem}_{sample:02}_{key[:8]}{extension}"
    return f"{stem}{extension}" if samples == 1 else f"{stem}_{sample:02}{extension}"


def slug(text: str, *, words: int = 8) -> str:
    """Return the first words in lower case, of any script, joined by hyphens; "untitled" if there are none."""
    plain = unicodedata.normalize("NFC", text[:_SLUG_READS]).lower().replace("'", "").replace("’", "")
    # Marks count as letters: Devanagari and others write their vowels with them.
    kept = "".join(char if unicodedata.category(char)[0] in "LNM" else " " for char in plain)
    return without_split_words(_truncate("-".join(kept.split()[:words]), _SLUG_BYTES).rstrip("-") or "untitled")


def split_words(name: str) -> tuple[str, ...]:
    """Return the words in a path that make the usual dataset loader drop all other images, each once."""
    return tuple(dict.fromkeys(_SPLIT_WORD.findall(name)))


def without_split_words(name: str) -> str:
    """Put words that split a dataset into the plural: `test-of-strength` becomes `tests-of-strength`."""
    return _SPLIT_WORD_IN_ANY_CASE.sub(r"\1s", name)


def _segments(path: str) -> list[str]:
    """Split a path into its segments. A leading `images/`, as in a path from a manifest, means the same folder."""
    segments = [segment.strip() for segment in path.strip().removeprefix(_FOLDER).split("/")]
    return [segment for segment in segments if segment not in {"", "."}]


def _stem(segments: list[str], *, source: str) -> str:
    if not segments:
        raise ValueError(f"{source!r} leaves no file name")
    if len(segments) > _MAX_SEGMENTS:
        raise ValueError(f"{source!r} has {len(segments)} levels of folders; at most {_MAX_SEGMENTS} are allowed")
    *folders, file = segments
    return _FOLDER + "/".join([*map(_safe_folder, folders), _safe_file(file)])


def _safe_folder(segment: str) -> str:
    """Make a folder's name that loaders don't skip, as they skip hidden ones and those that begin with `__`."""
    return _usable(re.sub(r"^(\.|__)[._]*", "_", _plain(segment)))


def _safe_file(segment: str) -> str:
    name = _usable(re.sub(r"^\.+", "_", _plain(segment)))
    return _TAIL.sub("", _EXTENSIONS.sub("", name))


def _plain(segment: str) -> str:
    return _SPACES.sub(" ", _FORBIDDEN.sub("_", unicodedata.normalize("NFC", segment)))


def _usable(segment: str) -> str:
    """Avoid names that Windows takes for devices (`con`, even `con.tar.png`), and dots and spaces at the end."""
    free = f"_{segment}" if _RESERVED.fullmatch(segment) else segment
    return _TAIL.sub("", _truncate(free, _SEGMENT_BYTES))


def _truncate(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def _render(template: str, values: Mapping[str, str | int]) -> str:
    return "".join(_pieces(template, values))


def _pieces(template: str, values: Mapping[str, str | int]) -> Iterator[str]:
    """Fill in a template. `str.format` would let it reach into objects; this only looks names up and pads numbers."""
    for literal, name, padding, conversion in _parse(template):
        yield literal.replace("\\", "/")
        if name is None:
            continue
        if name not in values:
            raise ValueError(_describe_missing(name, values))
        if conversion or (padding and not _PADDING.fullmatch(padding)):
            raise ValueError(f"{{{name}}} may be followed by a width only, as in {{{name}:03}}")
        yield _pad(re.sub(r"[/\\]", "_", str(values[name])), padding or "")


def _describe_missing(name: str, values: Iterable[str]) -> str:
    """Return what is wrong with a name in a template, which may be that of one of many columns."""
    known = sorted(values)
    rest = f" and {len(known) - _MAX_LISTED:,} more columns" if len(known) > _MAX_LISTED else ""
    hint = did_you_mean(name, known, most=3) or "."
    return f"{{{name}}} is not a column here{hint} The columns are: {', '.join(known[:_MAX_LISTED])}{rest}"


def _parse(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError as exc:
        raise ValueError(f"the name template {template!r} can't be read: {exc}") from exc


def _pad(value: str, padding: str) -> str:
    width = _PADDING.fullmatch(padding)
    value = value.strip()
    return value.zfill(int(width[1])) if width and _INTEGER.fullmatch(value) else value
