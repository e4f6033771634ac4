"""Compiles a prompt template and renders it for a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Template, TemplateError, meta, nodes
from jinja2.exceptions import SecurityError

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.allowed_syntax import limit_syntax
from imagen_batch.expansion.describe_template_error import describe_error
from imagen_batch.expansion.sandbox import MAX_TEXT, LimitExceeded, TemplateEnvironment
from imagen_batch.text import did_you_mean

_MAX_SOURCE = 1 << 16  # characters
_MAX_LISTED = 20  # names


class RenderFailed(ValueError):
    """The template produces no valid prompt for a row; the message says why."""


@dataclass(frozen=True, eq=False)
class PromptTemplate:
    """A compiled template and the variables that it uses."""

    name: str  # of its file, for messages
    source: str
    variables: frozenset[str]
    required: frozenset[str]  # those without a default and without a test such as `is defined`
    _compiled: Template
    _environment: TemplateEnvironment

    def check_variables(self, known: Iterable[str]) -> None:
        """Raise SettingsInvalid for a variable that no row has."""
        names = set(known)
        if unknown := sorted(self.required - names):
            hint = did_you_mean(unknown[0], names, most=3) or "."
            known_names = ", ".join(sorted(names)[:_MAX_LISTED])
            more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
            raise SettingsInvalid(
                f"--template {self.name}: the prompt file has no column {unknown[0]!r}{hint} "
                f"Known: {known_names}{more}"
            )

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the prompt for one row, without blanks at its ends. Raises RenderFailed."""
        self._environment.limits.start(len(self.source))
        try:
            return "".join(_bounded(self._compiled.generate(variables))).strip()
        except Exception as error:  # raised by the user's expressions: division by zero, a wrong type, ...
            raise RenderFailed(describe_error(error, known_names=_public_names(self._environment.filters))) from error


def _bounded(parts: Iterable[str]) -> Iterator[str]:
    length = 0
    for part in parts:
        length += len(part)
        if length > MAX_TEXT:
            raise LimitExceeded(f"it makes a text of more than {MAX_TEXT:,} characters")
        yield part


def compile_template(source: str, *, name: str) -> PromptTemplate:
    """Compile a template. Raises SettingsInvalid with the line of a mistake."""
    if len(source) > _MAX_SOURCE:
        raise SettingsInvalid(f"--template {name}: it has more than {_MAX_SOURCE:,} characters")
    environment = TemplateEnvironment()
    try:
        tree = environment.parse(source)
        variables = meta.find_undeclared_variables(tree)
        required = variables - _optional(tree)
        compiled = environment.from_string(limit_syntax(tree, environment))
    except (TemplateError, RecursionError, SyntaxError, MemoryError, ValueError) as error:
        line = getattr(error, "lineno", None)
        location = f", line {line}" if line and not isinstance(error, SecurityError) else ""
        reason = describe_error(error, known_names=_public_names(environment.filters))
        raise SettingsInvalid(f"--template {name}{location}: {reason}") from error
    return PromptTemplate(name, source, frozenset(variables), frozenset(required), compiled, environment)


def _optional(tree: nodes.Template) -> set[str]:
    """Return the names that the template tests with `is defined`, or for which it gives a default."""
    tests = [test.node for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")]
    defaults = [filter_.node for filter_ in tree.find_all(nodes.Filter) if filter_.name in ("default", "d")]
    return {node.name for node in (*tests, *defaults) if isinstance(node, nodes.Name)}


def _public_names(filters: Iterable[str]) -> list[str]:
    """Return the names of filters that a template may use."""
    return [name for name in filters if not name.startswith("_")]
