"""Parses command lines, runs their commands and prints the results.

dispatch.py         runs the command that was typed
argument_parser.py  parses the command line; options.py has what several commands share
commands/           one module for each command
"""

import sys

try:
    from imagen_batch.cli.dispatch import main
except KeyboardInterrupt:  # before a handler is installed; nothing was sent
    sys.stderr.write("interrupted\n")
    if "--json" in sys.argv:
        sys.stdout.write(
            '{"schema_version": 1, "state": "interrupted", "message": "interrupted: run again to continue"}\n'
        )
    raise SystemExit(130) from None

__all__ = ["main"]
