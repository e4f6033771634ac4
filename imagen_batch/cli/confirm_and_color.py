"""Asks the user at the terminal and decides about color."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable


def make_confirm(args: Namespace) -> Callable[[str], bool] | None:
    """Return a function that asks a yes-or-no question; None without a terminal or with --yes."""
    if args.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def confirm(question: str) -> bool:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return confirm


def use_color() -> bool:
    """Whether standard output is a terminal on which color is wanted."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return on_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
