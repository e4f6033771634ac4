"""Allows a part of Jinja's syntax in prompt templates, and has their loops and joins counted.

A template becomes a tree, in which loops, lists and joined texts are wrapped in the filters of `sandbox.py`.
"""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

_ALLOWED_SYNTAX = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.For, nodes.If, nodes.CondExpr),
    *(
        nodes.Assign,
        nodes.AssignBlock,
        nodes.With,
        nodes.Filter,
        nodes.Test,
        nodes.Getattr,
        nodes.Getitem,
        nodes.Slice,
    ),
    *(nodes.Call, nodes.Keyword, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Concat, nodes.Compare),
    *(nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.Not, nodes.And, nodes.Or),
)
_REFUSED_SYNTAX_NAMES = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter ... endfilter",
    nodes.Pow: "**",
    nodes.NSRef: "namespace",
}


def limit_syntax(tree: nodes.Template, environment: ImmutableSandboxedEnvironment) -> nodes.Template:
    """Return the tree with counted loops and joins. Raises SecurityError for syntax that is not allowed."""
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED_SYNTAX) and not isinstance(node, nodes.EvalContext | nodes.Helper):
            name = next(
                (name for kind, name in _REFUSED_SYNTAX_NAMES.items() if isinstance(node, kind)),
                type(node).__name__.lower(),
            )
            raise SecurityError(f"line {node.lineno}: {name!r} can't be used in a prompt template")
        if isinstance(node, nodes.For) and node.recursive:
            raise SecurityError(f"line {node.lineno}: a recursive loop can't be used in a prompt template")
        if isinstance(node, nodes.Call) and (node.dyn_args is not None or node.dyn_kwargs is not None):
            raise SecurityError(f"line {node.lineno}: * and ** can't be used in a prompt template")
    limited: nodes.Template = _Limiter().visit(tree)
    limited.set_environment(environment)
    return limited


class _Limiter(NodeTransformer):
    """Wraps the items of loops, lists, dictionaries and joined texts in filters that enforce the limits."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_each")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_concat")

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        self.generic_visit(node)
        node.items = [_filter(item, "_scalar") for item in node.items]
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        self.generic_visit(node)
        if node.ctx == "load":
            node.items = [_filter(item, "_scalar") for item in node.items]
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        self.generic_visit(node)
        node.value = _filter(node.value, "_scalar")
        return node


def _filter(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
