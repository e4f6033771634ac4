"""Finds the reference images of a run and of its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from imagen_batch.errors import InputInvalid, ReferenceUnusable
from imagen_batch.images.reference_file import FileFacts
from imagen_batch.planning.references.file_facts import ReferenceFiles
from imagen_batch.planning.references.keys_from_row_images import RowImages
from imagen_batch.planning.references.limits import COLUMN, REQUEST_BYTES, largest_file
from imagen_batch.prompts.reference_cells import is_uri
from imagen_batch.records import Problem, PromptRow, Reference
from imagen_batch.settings import Settings

_MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
}
_LARGEST = max(map(largest_file, REQUEST_BYTES))


@dataclass(frozen=True, slots=True)
class RowReferences:
    """The references of a row, and the problems of those that can't be used."""

    references: tuple[Reference, ...] = ()
    problems: tuple[Problem, ...] = ()


class RunReferences:
    """The reference images of a run. Relative paths are relative to `folder`.

    `stored` are facts about the files as a run recorded them; only for reading what that run did. With `ignored`
    rows have no references: an earlier version, which did not send any, started the run. `variants`: the rows are
    those of a matrix. `stored_ids` are ids of rows that are not in the file, because it will be added to their input.
    """

    def __init__(
        self,
        folder: Path = Path(),
        *,
        stored: Mapping[str, FileFacts] | None = None,
        ignored: bool = False,
        variants: bool = False,
        stored_ids: frozenset[str] = frozenset(),
    ) -> None:
        self.folder = os.path.abspath(folder)  # noqa: PTH100 - links are kept as the user made them
        self.files = ReferenceFiles(stored)
        self.ignored = ignored
        self.variants = variants
        self.stored_ids = stored_ids
        self.images: RowImages | None = None
        self._by_text: dict[str, Reference | str] = {}

    def of_row(self, row: PromptRow, of_run: Sequence[str]) -> RowReferences:
        """Return the references of the run and then those of the row, in the order in which they are sent."""
        if self.ignored:
            return RowReferences()
        if self.images is not None and row.row in self.images.resolved:
            return RowReferences(self.images.resolved[row.row])
        usable: list[Reference] = []
        problems: list[Problem] = []
        for line, text in [*((None, text) for text in of_run), *((row.line, text) for text in row.references)]:
            reference = self._find(text)
            if isinstance(reference, Reference):
                usable.append(reference)
            else:
                column = COLUMN if line is not None else None
                problems.append(Problem(line, column, text if column else f"--reference {text}", reference))
        return RowReferences(tuple(usable), tuple(problems))

    def with_absolute_paths(self, settings: Settings) -> Settings:
        """Return the settings with paths of --reference that are valid in any current folder.

        A path is relative to the prompt file's folder, else to the current folder. Raises InputInvalid for @id.
        """
        if not settings.references:
            return settings
        rows = [text for text in settings.references if text.startswith("@")]
        if rows:
            message = "--reference takes files and addresses; @id of a row goes into the column references"
            raise InputInvalid([Problem(None, None, text, message) for text in rows])
        absolute = tuple(text if is_uri(text) else self._find_existing(text) for text in settings.references)
        return settings.model_copy(update={"references": absolute})

    def absolute(self, text: str) -> str:
        """Return a reference of a row in the form that is valid in a prompt file in any other folder."""
        return text if is_uri(text) or text.startswith("@") else self._join_folder(text)

    def _find_existing(self, text: str) -> str:
        beside = self._join_folder(text)
        current = os.path.abspath(text)  # noqa: PTH100 - links are kept as the user made them
        return current if os.path.lexists(current) and not os.path.lexists(beside) else beside

    def _join_folder(self, text: str) -> str:
        return os.path.join(self.folder, text)  # noqa: PTH118 - as the user wrote it, with links and ..

    def _find(self, text: str) -> Reference | str:
        """Return the reference, or why it can't be used."""
        if text not in self._by_text:
            if text.startswith("@"):  # the image of another row, which may not be made yet
                self._by_text[text] = Reference(text)
            else:
                self._by_text[text] = _uri_reference(text) if is_uri(text) else self._file_reference(text)
        return self._by_text[text]

    def _file_reference(self, text: str) -> Reference | str:
        path = self._join_folder(text)
        try:
            facts = self.files.read(path, most=_LARGEST)
        except ReferenceUnusable as error:
            return str(error)
        return Reference(text, facts.mime_type, facts.sha256, facts.bytes, path=path)


def relative_references(texts: Sequence[str], folder: str) -> Iterator[str]:
    """Yield references as the manifest shows them: a path below the prompt file's folder is relative to it."""
    for text in texts:
        inside = Path(text).is_absolute() and text.startswith(folder.rstrip("/") + "/")
        yield os.path.relpath(text, folder) if inside else text


def _uri_reference(text: str) -> Reference | str:
    scheme, _, rest = text.partition("://")
    suffix = PurePosixPath(urlsplit(text).path).suffix.lower()
    mime_type = _MIME_TYPES.get(suffix, "")
    if not mime_type and (suffix or scheme.lower() == "gs"):
        return f"the type of the image is unknown: the address must end in {', '.join(_MIME_TYPES)}"
    if not rest:
        return "the address is not complete"
    return Reference(text, mime_type, uri=text)
