"""The command line: arguments in, text and exit codes out."""

from imagen_batch.cli.commands import main

__all__ = ["main"]
