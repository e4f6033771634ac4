"""The command line: arguments in, text and exit codes out.

dispatch.py    runs the command that was typed
arguments.py   parses the command line; options.py has what several commands share
commands/      one module for each command
"""

from imagen_batch.cli.dispatch import main

__all__ = ["main"]
