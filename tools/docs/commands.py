"""Runs every command of the documentation against the simulator and reports those that fail.

`python -m tools.docs.commands [PAGE ...]`. Each page gets a folder of its own with the files that its commands name
and a finished run in `outputs/book`, one row of which was refused; for a page with `cd prompts/NAME` it is a copy
of that folder. What can't run here is listed as skipped, with its reason.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import openpyxl
import requests
from moto.server import ThreadedMotoServer
from PIL import Image

from imagen_batch.simulator import Simulator

ROOT = Path(__file__).parents[2]
_FAULTS = ({"match": "bars", "fault": "filtered", "options": {"count": 1}},)
_BOOK = """\
id,prompt,aspect_ratio,samples,chapter,page,style,characters
river,"Mole and Rat in a blue rowing boat",16:9,2,1,3,ink,Mole
badger,"Badger's kitchen, hams under the rafters",4:3,2,4,41,watercolor,
gaol,Toad behind bars,1:1,1,8,90,ink,
"""
_FILES = {
    "book.csv": _BOOK,
    "chosen.csv": "id,prompt\nriver,Mole and Rat in a blue rowing boat\n",
    "more.csv": "id,prompt,chapter\nroad,Toad in a yellow caravan,2\n",
    "scene.txt": "{{ prompt }}. {{ characters }}{% if animal is defined %} With a {{ animal }}.{% endif %}\n",
    "styles.csv": "name,prompt,negative_prompt\nink,loose ink lines,\nwatercolor,watercolor,\n",
    "people.csv": "name,description\nMole,a small mole in a velvet coat\n",
    "animals.txt": "fox\nhare\n",
    "faults.json": '[{"match": "*", "fault": "overloaded_503", "times": 1}]',
}
_SKIPPED = {
    "--dask-address": "needs a scheduler on another machine",
    ".ods": "no library here writes .ods files; the tests read one",
}
_SERVES = ("--serve", "simulate --port")
_MISSING_EXTRA = re.compile(r"needs:? pip install")
_GOOD = (0, 3)  # 3: some images are missing, or the audit found something


def main() -> None:
    """Run the commands of all pages, or of those that are named."""
    pages = [ROOT / name for name in sys.argv[1:]] or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    failed = sum(_run_page(page) for page in pages)
    print(f"{failed} failed" if failed else "all commands ran")
    sys.exit(1 if failed else 0)


def _run_page(page: Path) -> int:
    """Run a page's commands in their order and return how many failed."""
    text = page.read_text(encoding="utf-8")
    commands = list(_commands(text))
    if not commands:
        return 0
    with tempfile.TemporaryDirectory() as name, Simulator(faults=_FAULTS) as simulator, _bucket() as bucket:
        folder = Path(name)
        environment = {**os.environ, **bucket, "IMAGEN_BATCH_BASE_URL": simulator.url, "GOOGLE_API_KEY": "simulated"}
        environment["XDG_STATE_HOME"] = name
        project = re.search(r"^cd (prompts/\S+)$", text, re.MULTILINE)
        if project:
            shutil.copytree(ROOT / project[1], folder, dirs_exist_ok=True)
        else:
            _prepare(folder, environment)
        with _background() as servers:
            return sum(not _run(page, command, folder, environment, servers) for command in commands)


def _commands(text: str) -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        lines = (line.partition(" #")[0].strip() for line in block.splitlines())
        yield from (line for line in lines if line.startswith("imagen-batch "))


def _run(
    page: Path, command: str, folder: Path, environment: Mapping[str, str], servers: list[subprocess.Popen[bytes]]
) -> bool:
    """Run a command, say how it ended, and return whether that is as it should be."""
    reason = next((why for words, why in _SKIPPED.items() if words in command), None)
    if reason:
        print(f"skip  {page.name:24} {command}: {reason}")
        return True
    if any(words in command for words in _SERVES):
        server = subprocess.Popen(_program(command), cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        servers.append(server)
        time.sleep(2)
        code, output = (0, "") if server.poll() is None else (1, "the server ended")
    else:
        done = subprocess.run(
            _program(command), cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        code, output = done.returncode, done.stderr
    good, extra = code in _GOOD, _MISSING_EXTRA.search(output)
    print(f"{'ok' if good else 'skip' if extra else 'FAIL':4} {code:<2}{page.name:23} {command}")
    if not good:
        print(output)
    return good or bool(extra)


def _program(command: str) -> Sequence[str]:
    words = shlex.split(command)
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]


def _prepare(folder: Path, environment: Mapping[str, str]) -> None:
    for name, text in _FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "sheets").mkdir()
    Image.new("RGB", (64, 64), "green").save(folder / "sheets" / "style.png")
    book = openpyxl.Workbook()
    book.active.append(["id", "prompt"])
    book.active.append(["river", "Mole and Rat in a blue rowing boat"])
    book.save(folder / "book.xlsx")
    run = _program("imagen-batch run book.csv --quiet")
    subprocess.run(run, cwd=folder, env=environment, capture_output=True, check=False, timeout=300)
    (folder / "outputs/book/review.csv").write_text("row,sample,decision\n1,2,approve\n", encoding="utf-8")
    approve = _program("imagen-batch review approve outputs/book badger")
    subprocess.run(approve, cwd=folder, env=environment, capture_output=True, check=True, timeout=60)


@contextmanager
def _background() -> Iterator[list[subprocess.Popen[bytes]]]:
    servers: list[subprocess.Popen[bytes]] = []
    try:
        yield servers
    finally:
        for server in servers:
            server.terminate()
            server.wait(30)


@contextmanager
def _bucket() -> Iterator[dict[str, str]]:
    """Serve the bucket `my-bucket` on loopback and yield the environment that leads to it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    requests.put(f"{address}/my-bucket", timeout=10).raise_for_status()
    try:
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


if __name__ == "__main__":
    main()
