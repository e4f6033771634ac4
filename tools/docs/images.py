"""Makes the images of the documentation from a run on the simulator: `docs/images/gallery.png` and `terminal.svg`.

`python -m tools.docs.images` needs Chromium for the gallery, and no key.
"""

from __future__ import annotations

import csv
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from imagen_batch.simulator import Simulator

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_COLUMNS = 112
_WINDOW = (1280, 860)
_SHOWN_FOLDER = "/home/you"
_FOLDER = "outputs/book-rehearsal"
_HEADER = ("id", "prompt", "aspect_ratio", "samples", "seed", "chapter")
_ROWS = (
    ("river", "Mole and Rat in a blue rowing boat, ink and watercolor", "16:9", "3", "1", "1"),
    ("badger", "Badger's kitchen, hams under the rafters, oil pastel", "4:3", "3", "2", "4"),
    ("hall", "The weasels flee from swords and pistols, woodcut", "16:9", "3", "3", "12"),
)
_VIOLENCE = "56562880"
_FAULTS = [
    {"match": {"regex": "swords"}, "fault": "filtered", "options": {"count": 1, "codes": _VIOLENCE}, "times": 2}
]


def main() -> None:
    """Run the example once and take both images of it."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Simulator(faults=_FAULTS) as simulator:
        home = Path(folder)
        _write_prompts(home / "book.csv")
        environment = {**os.environ, "IMAGEN_BATCH_BASE_URL": simulator.url}
        environment |= {"COLUMNS": str(_COLUMNS), "LINES": "60", "TERM": "xterm-256color", "XDG_STATE_HOME": folder}
        commands = ("imagen-batch plan book.csv", "imagen-batch run book.csv --provider simulator --quiet")
        output = [(command, _run_on_a_terminal(shlex.split(command), home, environment)) for command in commands]
        _save_terminal([(command, text.replace(str(home), _SHOWN_FOLDER)) for command, text in output])
        _save_gallery(home / _FOLDER / "gallery.html", home)


def _write_prompts(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_HEADER, *_ROWS])


def _run_on_a_terminal(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Return what a command prints to a terminal, with its colors."""
    reader, writer = pty.openpty()
    program = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    with subprocess.Popen(
        program, cwd=folder, env=environment, stdout=writer, stderr=writer, stdin=subprocess.DEVNULL
    ):
        os.close(writer)
        return b"".join(_chunks(reader)).decode().replace("\r\n", "\n")


def _chunks(reader: int) -> list[bytes]:
    chunks = []
    while True:
        try:
            chunk = os.read(reader, 65536)
        except OSError:  # the other end of a terminal is closed
            return chunks
        if not chunk:
            return chunks
        chunks.append(chunk)


def _save_terminal(output: Sequence[tuple[str, str]]) -> None:
    console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    for command, text in output:
        console.print(Text(f"$ {command}", style="bold"))
        console.print(Text.from_ansi(text.rstrip()), soft_wrap=False)
        console.print()
    without_web_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(
        str(IMAGES / "terminal.svg"), title="imagen-batch", code_format=without_web_fonts, unique_id="terminal"
    )


def _save_gallery(page: Path, scratch: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("There is no Chromium: gallery.png stays as it is.")
    screenshot = scratch / "gallery.png"
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--hide-scrollbars",
        "--virtual-time-budget=4000",
        f"--window-size={_WINDOW[0]},{_WINDOW[1]}",
    )
    subprocess.run(
        [chromium, *flags, f"--user-data-dir={scratch / 'profile'}", f"--screenshot={screenshot}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with Image.open(screenshot) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(IMAGES / "gallery.png", optimize=True)


if __name__ == "__main__":
    main()
