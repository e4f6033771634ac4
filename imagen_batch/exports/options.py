"""Defines the options of one export, and checks them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from imagen_batch.errors import SettingsInvalid

Finding = Literal["identical", "near_duplicate", "flat", "shape", "small"]
FINDINGS: tuple[Finding, ...] = get_args(Finding)

BITS = 128
"""The length of a perceptual hash."""

_MAX_NEAR_BITS = 32  # with more, unrelated images count as near-duplicates


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of an export. Each field is the option of the same name; sizes are in bytes, lengths in pixels."""

    approved: bool = False
    where: str | None = None
    split: str | None = None  # "train=0.9,test=0.1"
    split_column: str | None = None
    split_by: str = "prompt"  # rows with the same value stay in one split
    report: bool = False
    drop: tuple[Finding, ...] = ()
    near: int = 20  # differing bits of 128 up to which two images are near-duplicates
    min_side: int = 256
    copy: bool = False
    shard_size: int = 500_000_000
    trigger: str | None = None
    excel_safe: bool = False
    name_template: str | None = None
    embed_metadata: bool = False
    group_by: str | None = None
    per_page: int = 6
    fonts: tuple[Path, ...] = ()
    title: str | None = None
    license: str | None = None

    @property
    def chooses_splits(self) -> bool:
        """Whether an option says how images are divided, and not a column `split` of the prompt file."""
        return bool(self.split or self.split_column)

    def __post_init__(self) -> None:
        if self.split and self.split_column:
            raise SettingsInvalid("--split and --split-column exclude each other")
        if unknown := sorted(set(self.drop) - set(FINDINGS)):
            raise SettingsInvalid(f"--drop {unknown[0]}: expected {', '.join(FINDINGS)} or all")
        if self.shard_size < 1_000_000:
            raise SettingsInvalid(f"--shard-size {self.shard_size}: expected at least 1MB")
        if not 0 <= self.near <= _MAX_NEAR_BITS:
            raise SettingsInvalid(f"--near {self.near}: expected 0 to {_MAX_NEAR_BITS} of {BITS} bits")
        if self.name_template == "":
            raise SettingsInvalid("--name-template is empty: leave it out for the names of the run")
        if self.per_page not in {1, 2, 4, 6, 9, 12, 20}:
            raise SettingsInvalid(f"--per-page {self.per_page}: expected 1, 2, 4, 6, 9, 12 or 20")


def options_from(chosen: dict[str, Any]) -> Options:
    """Return the options with these values. Raises SettingsInvalid for an unknown name, with a list of all."""
    names = [field.name for field in fields(Options)]
    if unknown := sorted(set(chosen) - set(names)):
        raise SettingsInvalid(f"an export has no option {unknown[0]!r}; known: {', '.join(names)}")
    return Options(**chosen)
