"""Turns links out of `docs/` into plain text when the site is built: on GitHub they lead to a file, here to nothing.

mkdocs calls `on_page_markdown` for each page (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page with each link out of `docs/` replaced by its text and the path of the file."""
    return without_outside_links(markdown, page.file.src_uri)


def without_outside_links(markdown: str, source: str) -> str:
    """Do the same for the page at `source`, a path below `docs/`."""
    folder = posixpath.dirname(posixpath.join("docs", source))

    def replace(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2].partition("#")[0]))
        return link[0] if path.startswith("docs/") else f"{link[1]} (`{path}`)" if link[1] != path else f"`{path}`"

    return _LINK.sub(replace, markdown)
