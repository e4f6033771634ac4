"""Ctrl-C while the command is still being imported ends it like any other Ctrl-C."""

import json
import subprocess
import sys

INTERRUPTED = """
import sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "imagen_batch.cli.argument_parser":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv = ["imagen-batch", "run", "book.csv", *sys.argv[1:]]
import imagen_batch.cli
"""


def test_an_early_interrupt_prints_no_traceback_and_ends_with_130():
    """With --json it also prints one object."""
    for options in ([], ["--json"]):
        result = subprocess.run(
            [sys.executable, "-c", INTERRUPTED, *options], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (130, "interrupted\n")
        assert [json.loads(line)["state"] for line in result.stdout.splitlines()] == ["interrupted"] * len(options)
