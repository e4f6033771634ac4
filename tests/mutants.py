"""Changes one expression at a time in the code that handles money and data, and checks that a test fails.

    python -m tests.mutants [--packages ledger,sending,planning] [--count 150] [--seed 1] [--jobs 2] [--minutes 10]
                            [--list]

Every mutant runs in a process forked from one that has imported the libraries already: an import hook gives it the
changed module, and the tests of TESTS run in it until the first failure, generated examples last. Nothing is written
to the project. A hang counts as noticed: it takes five times as long as the unchanged code. After the given minutes
no more mutants start. Prints the mutants that survive and the score; exits with 1 below 95 % of those that are not
EQUIVALENT. The sample is the same for the same seed, and a change of one file does not move the mutants of others.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import importlib.util
import math
import os
import shutil
import signal
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from tests.mutants_equivalent import EQUIVALENT

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 60.0  # at least
_SLOWER_THAN_UNCHANGED = 5
WANTED = 0.95

_SLOW = {"test_limits.py", "test_stop.py", "test_unaccepted_images.py"}
_SENDING = tuple(
    f"tests/sending/{path.name}"
    for path in sorted((ROOT / "tests" / "sending").glob("test_*.py"))
    if path.name not in _SLOW
)
_LEDGER = ("tests/ledger",)
_RUNS_WITH_REFERENCES = tuple(
    f"tests/runs/test_{name}.py" for name in ("row_references", "references", "references_reviewed")
)
_RUNS_WITH_VERSIONS = ("tests/runs/test_duplicates_of_versions.py", "tests/runs/test_redo.py")
TESTS: dict[str, tuple[str, ...]] = {
    "ledger": (*_LEDGER, "tests/sending/test_generate.py"),
    "ledger/costs.py": _LEDGER,
    "sending": _SENDING,
    "sending/budget.py": ("tests/sending/test_budget.py", "tests/sending/test_budget_limits.py"),
    "sending/pacing/pace.py": (
        "tests/sending/test_pace_after_refusals.py",
        "tests/sending/test_pace.py",
        "tests/sending/test_governor.py",
        "tests/workers/test_allocation.py",
    ),
    "sending/stop.py": (
        "tests/sending/test_stop_sleep.py",
        "tests/sending/test_stop.py",
        "tests/sending/test_governor.py",
    ),
    "sending/read_references.py": ("tests/runs/test_references.py", *_SENDING),
    "planning": ("tests/planning", *_RUNS_WITH_REFERENCES, *_RUNS_WITH_VERSIONS),
}
"""Package or file -> the tests that have to notice, fastest first."""

_LIBRARIES = ("hypothesis", "msgspec", "orjson", "pandas", "PIL.Image", "pyarrow.parquet", "pydantic", "requests")
_IGNORED_CALLS = {"print", "plural", "span", "shorten"}  # texts for users

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change to one file. `index` is the place of the change among those of the file."""

    path: str  # below imagen_batch/
    line: int
    index: int
    change: str  # "Class.function: before -> after", with a number where a function has several of the same

    @property
    def name(self) -> str:
        """Return a name without the line, so that other edits of the file do not change it."""
        return f"{self.path} {self.change}"

    @property
    def module(self) -> str:
        return "imagen_batch." + self.path.removesuffix(".py").replace("/", ".")

    @property
    def tests(self) -> tuple[str, ...]:
        """Return the tests that have to notice the change."""
        return TESTS.get(self.path) or TESTS[self.path.partition("/")[0]]


def mutants(path: str) -> Iterator[Mutant]:
    """Yield every mutant of one file."""
    text = (ROOT / "imagen_batch" / path).read_text(encoding="utf-8")
    seen: Counter[str] = Counter()
    for index, (function, node) in enumerate(_places(ast.parse(text))):
        before, line = _first_line(node), node.lineno
        _apply(node)
        change = f"{function}: {before} -> {_first_line(node)}"
        seen[change] += 1
        yield Mutant(path, line, index, change if seen[change] == 1 else f"{change} ({seen[change]})")


def mutated(mutant: Mutant) -> types.CodeType:
    """Return the compiled module with the change."""
    file = ROOT / "imagen_batch" / mutant.path
    tree = ast.parse(file.read_text(encoding="utf-8"))
    _, node = list(_places(tree))[mutant.index]
    _apply(node)
    return compile(ast.fix_missing_locations(tree), str(file), "exec")


def _places(tree: ast.Module) -> list[tuple[str, ast.expr | ast.stmt]]:
    """Yield the expressions and statements of functions that are worth a change, with the function's name.

    Texts, annotations, decorators, defaults of the module (tuning) and assertions are left alone.
    """
    places: list[tuple[str, ast.expr | ast.stmt]] = []

    def visit(node: ast.AST, function: str, *, inside: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name == "__repr__":
                return
            name = f"{function}.{node.name}".lstrip(".")
            for child in node.body:
                visit(child, name, inside=inside or isinstance(node, ast.FunctionDef))
            return
        if isinstance(node, ast.JoinedStr | ast.Assert | ast.Raise) or _is_text(node):
            return
        if isinstance(node, ast.AnnAssign):
            children: Iterable[ast.AST] = [node.value] if node.value else []
        else:
            children = ast.iter_child_nodes(node)
        if inside and isinstance(node, ast.expr | ast.stmt) and _is_mutable(node):
            places.append((function, node))
        for child in children:
            visit(child, function, inside=inside)

    visit(tree, "", inside=False)
    return places


def _first_line(node: ast.AST) -> str:
    """Return the code of a node; for a statement with a body only its first line."""
    return ast.unparse(node).partition("\n")[0]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _IGNORED_CALLS


def _is_mutable(node: ast.expr | ast.stmt) -> bool:
    match node:
        case ast.Compare():
            return type(node.ops[0]) in _COMPARE
        case ast.BinOp() | ast.AugAssign():
            return type(node.op) in _ARITHMETIC
        case ast.Constant():
            return isinstance(node.value, bool | int | float)
        case ast.Expr(value=ast.Call()) | ast.BoolOp() | ast.UnaryOp(op=ast.Not()) | ast.If(orelse=[]):
            return True
    return False


def _apply(node: ast.expr | ast.stmt) -> None:
    """Change a node in place."""
    match node:
        case ast.Compare():
            node.ops[0] = _COMPARE[type(node.ops[0])]()
        case ast.BinOp() | ast.AugAssign():
            node.op = _ARITHMETIC[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant(value=int() | float()):
            node.value = node.value + 1
        case ast.If():
            node.test = ast.Constant(value=False)
        case ast.Expr():
            node.value = ast.Constant(value=None)


class _Hook(MetaPathFinder, Loader):
    """Imports one module from changed code."""

    def __init__(self, module: str, code: types.CodeType) -> None:
        self._module = module
        self._code = code

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._code.co_filename, loader=self)  # type: ignore[arg-type]

    def exec_module(self, module: types.ModuleType) -> None:
        exec(self._code, module.__dict__)


def _run_tests(mutant: Mutant | None, tests: Sequence[str], folder: str) -> int:
    """Run tests in this process, which has not imported the package yet, and return the exit code of pytest."""
    import pytest  # noqa: PLC0415 - imported by the parent before it forks
    from hypothesis import settings  # noqa: PLC0415

    with open(os.devnull if mutant else os.path.join(folder, "output"), "w") as output:  # noqa: PTH118, PTH123
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if mutant:
        sys.meta_path.insert(0, _Hook(mutant.module, mutated(mutant)))
    settings.register_profile("mutants", max_examples=25, deadline=None, derandomize=True, database=None)
    settings.load_profile("mutants")
    options = [
        "-x",
        "-q",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "tests.support.shared_fixtures",
    ]
    options += ["--basetemp", f"{folder}/tmp"]
    known = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported before pytest could rewrite it
    return int(pytest.main([*options, "-W", known, *tests], plugins=[_GeneratedLast()]))


class _GeneratedLast:
    """A pytest plugin that runs tests with generated examples last: they are slow, and seldom the first to fail."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: getattr(item.obj, "is_hypothesis_test", False))


class Child:
    """A forked process that runs the tests against one mutant, or against the unchanged code."""

    def __init__(self, mutant: Mutant | None, tests: Sequence[str], *, timeout: float = math.inf) -> None:
        self.mutant = mutant
        self.timeout = timeout
        self.folder = tempfile.mkdtemp(prefix="mutant-")
        self.began = time.monotonic()
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 3
            try:
                os.setsid()
                code = _run_tests(mutant, tests, self.folder)
            finally:
                sys.stdout.flush()
                os._exit(code)

    def has_ended(self) -> bool:
        """Return whether the tests have ended, and set `code`. A process that takes too long is killed."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0 and time.monotonic() - self.began < self.timeout:
            return False
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if pid == 0:
            os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status) if pid else -signal.SIGKILL
        return True

    def output(self) -> str:
        """Return what the tests printed; it is only kept for the unchanged code."""
        return (Path(self.folder) / "output").read_text(encoding="utf-8", errors="replace")

    def clean(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def check_tests(groups: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    """Exit unless all tests pass without a mutant; otherwise every mutant would count as noticed.

    Returns the seconds after which each group of tests hangs.
    """
    timeouts = {}
    for tests in dict.fromkeys(groups):
        child = Child(None, tests)
        while not child.has_ended():
            time.sleep(0.05)
        timeouts[tests] = max(TIMEOUT_S, _SLOWER_THAN_UNCHANGED * (time.monotonic() - child.began))
        text = child.output()
        child.clean()
        if child.code != 0:
            sys.exit(f"{text}\nthe tests fail without a mutant: {' '.join(tests)}")
    return timeouts


def survivors(
    sample: Sequence[Mutant], timeouts: Mapping[tuple[str, ...], float], *, jobs: int, until: float
) -> tuple[list[Mutant], int]:
    """Return the mutants that no test notices, and how many were tried until a time."""
    waiting, running, alive, tried = list(reversed(sample)), [], [], 0
    while waiting or running:
        if time.monotonic() > until:
            waiting.clear()
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running.append(Child(mutant, mutant.tests, timeout=timeouts[mutant.tests]))
            tried += 1
        time.sleep(0.02)
        for child in [child for child in running if child.has_ended()]:
            running.remove(child)
            child.clean()
            if child.mutant and child.code in (0, -signal.SIGKILL):
                verdict = "hung" if child.code else "survived"
                print(f"{verdict:<10}{child.mutant.path}:{child.mutant.line} {child.mutant.change}", flush=True)
                alive += [] if child.code else [child.mutant]
    return alive, tried


def choose(packages: Sequence[str], count: int, seed: int) -> tuple[list[Mutant], int]:
    """Return a sample of the mutants that are not equivalent, and the number of all of them."""
    paths = [path for package in packages for path in sorted((ROOT / "imagen_batch" / package).rglob("*.py"))]
    names = [str(path.relative_to(ROOT / "imagen_batch")) for path in paths]
    everything = [mutant for name in names for mutant in mutants(name)]
    known = {name for name in EQUIVALENT if name.partition("/")[0] in packages}
    if stale := known - {mutant.name for mutant in everything}:
        sys.exit(f"mutants_equivalent.py names what is no mutant any more: {', '.join(sorted(stale))}")
    everything = [mutant for mutant in everything if mutant.name not in known]
    everything.sort(key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())
    return everything[:count], len(everything)


def main() -> int:
    """Try a sample of all mutants; print what survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", default="ledger,sending,planning")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--list", action="store_true", help="print the sample and do not run it")
    chosen = parser.parse_args()
    sample, total = choose(chosen.packages.split(","), chosen.count, chosen.seed)
    if chosen.list:
        print("\n".join(f"{mutant.path}:{mutant.line} {mutant.change}" for mutant in sample))
        return 0
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for library in ("pytest", *_LIBRARIES):
        importlib.import_module(library)
    began = time.monotonic()
    timeouts = check_tests(mutant.tests for mutant in sample)
    alive, tried = survivors(sample, timeouts, jobs=chosen.jobs, until=began + 60 * chosen.minutes)
    score = 1 - len(alive) / max(1, tried)
    print(
        f"{tried} of {total} mutants tried in {time.monotonic() - began:.0f} s, {len(EQUIVALENT)} known "
        f"equivalents left out, seed {chosen.seed}: {score:.1%} noticed (at least {WANTED:.0%} wanted)"
    )
    return 0 if score >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
