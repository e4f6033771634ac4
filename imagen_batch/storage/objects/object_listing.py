"""Lists objects page by page.

A library that lists a million names at once takes 600 MB. S3 returns pages; other stores return one page with all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Page = list[tuple[str, int]]
"""Paths and bytes of objects, sorted by path."""


def list_pages(files: Any, prefix: str, *, after: str = "") -> Iterator[Page]:
    """Yield the objects whose path starts with `prefix` and comes after `after`. `files` is an fsspec file system."""
    listed = _s3_pages(files, prefix, after) if hasattr(files, "call_s3") else _one_page(files, prefix, after)
    return (page for page in listed if page)


def _s3_pages(files: Any, prefix: str, after: str) -> Iterator[Page]:
    bucket, _, start = prefix.partition("/")
    _, _, last = after.partition("/")
    more = True
    while more:
        answer = files.call_s3("list_objects_v2", Bucket=bucket, Prefix=start, StartAfter=last)
        page = [(f"{bucket}/{item['Key']}", int(item["Size"])) for item in answer.get("Contents", [])]
        yield page
        more = bool(answer.get("IsTruncated")) and bool(page)
        last = page[-1][0].partition("/")[2] if page else last


def _one_page(files: Any, prefix: str, after: str) -> Iterator[Page]:
    objects = files.find(prefix.rpartition("/")[0], detail=True)
    yield [(path, int(objects[path]["size"])) for path in sorted(objects) if path.startswith(prefix) and path > after]
