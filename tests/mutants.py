"""Changes one thing at a time in the code that handles money and data, and checks that a test fails.

    python -m tests.mutants [--packages ledger,sending,planning] [--count 120] [--seed 1]

Each mutant lives in a copy of the package in a temporary folder. The tests named in TESTS run against it until the
first failure. Prints the survivors and the score; exits with 1 below 95 % of the mutants that are not in EQUIVALENT.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 120.0
WANTED = 0.95

TESTS = {
    "ledger": ("tests/ledger", "tests/runs/test_crashes.py", "tests/audit"),
    "sending": ("tests/sending", "tests/runs"),
    "planning": ("tests/planning", "tests/runs"),
}
"""Package -> the tests that have to notice, fastest first."""

EQUIVALENT: frozenset[str] = frozenset()
"""Mutants that change nothing anyone could observe, as `path:line: change`, each with its reason beside it."""


@dataclass(frozen=True)
class Mutant:
    """One change to one file."""

    path: Path  # relative to the project
    line: int
    change: str
    source: str  # the whole changed file

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.change}"


_COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of one file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for index, _ in enumerate(_places(ast.parse(text))):
        tree = ast.parse(text)
        node, change = list(_places(tree))[index]
        _apply(node, change)
        yield Mutant(path, getattr(node, "lineno", 0), change, ast.unparse(ast.fix_missing_locations(tree)))


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
            yield node, f"{type(node.ops[0]).__name__} -> {_COMPARE[type(node.ops[0])].__name__}"
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_annotation(node):
            yield node, f"{type(node.op).__name__} -> {_ARITHMETIC[type(node.op)].__name__}"
        elif isinstance(node, ast.BoolOp):
            yield node, "and <-> or"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, "not dropped"
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, f"{node.value} -> {not node.value}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
            yield node, f"{node.value} -> {node.value + 1}"
        elif isinstance(node, ast.If) and not node.orelse:
            yield node, "if never"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node, "call dropped"


def _is_annotation(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr)


def _apply(node: ast.AST, change: str) -> None:
    match node:
        case ast.Compare():
            node.ops[0] = _COMPARE[type(node.ops[0])]()
        case ast.BinOp():
            node.op = _ARITHMETIC[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.op = ast.UAdd()
            node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant(value=int()):
            node.value = node.value + 1
        case ast.If():
            node.test = ast.Constant(value=False)
        case ast.Expr():
            node.value = ast.Constant(value=None)


def survives(mutant: Mutant, tests: tuple[str, ...]) -> bool:
    """Whether all tests pass with this mutant in place. A hang counts as noticed."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        for name in (
            "imagen_batch",
            "tests",
            "prompts",
            "flows",
            "benchmarks",
            "pyproject.toml",
            "README.md",
            "docs",
        ):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, Path(folder) / name)
        (Path(folder) / mutant.path).write_text(mutant.source, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not prefect", *tests]
        env = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def main() -> int:
    """Try a sample of all mutants; print what survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", default=",".join(TESTS))
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    everything = [
        (mutant, TESTS[package])
        for package in chosen.packages.split(",")
        for path in sorted((ROOT / "imagen_batch" / package).glob("*.py"))
        for mutant in mutants(path.relative_to(ROOT))
        if str(mutant) not in EQUIVALENT
    ]
    sample = random.Random(chosen.seed).sample(everything, min(chosen.count, len(everything)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        alive = list(pool.map(lambda one: survives(*one), sample))
    for (mutant, _), survived in zip(sample, alive, strict=True):
        if survived:
            print(f"survived  {mutant}")
    score = 1 - sum(alive) / len(sample)
    print(f"{len(sample)} of {len(everything)} mutants tried, {score:.1%} noticed (wanted {WANTED:.0%})")
    return 0 if score >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
