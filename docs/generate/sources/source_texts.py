"""Reads the texts of messages from source code, with an ellipsis for each value that is known at run time only."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

GAP = "…"


def calls(path: Path, *names: str, keyword: str = "") -> Iterator[list[str]]:
    """Yield the texts of the positional arguments of each call of a function, in the order of the source.

    A call with the keyword has its text at the end.
    """
    constants, functions = _parsed(path)
    for nodes in functions:
        yield from _calls_in(nodes, names, keyword, constants)


@lru_cache(maxsize=1)  # several functions are looked for in one file after the other
def _parsed(path: Path) -> tuple[dict[str, str], list[list[ast.expr | ast.stmt]]]:
    """Return a module's constants that are texts, and the nodes of each function in the order of the source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return _assignments(tree.body), [_in_order(function) for function in functions]


def _calls_in(
    nodes: list[ast.expr | ast.stmt], names: tuple[str, ...], keyword: str, constants: dict[str, str]
) -> Iterator[list[str]]:
    known = dict(constants)
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            known[node.targets[0].id] = text_of(node.value, known)
        elif isinstance(node, ast.Call) and _name(node.func) in names:
            given = [each.value for each in node.keywords if each.arg == keyword]
            yield [text_of(argument, known) for argument in (*node.args, *given)]


def _in_order(function: ast.AST) -> list[ast.expr | ast.stmt]:
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.expr | ast.stmt)]
    return sorted(nodes, key=lambda node: (node.lineno, node.col_offset))


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _assignments(body: list[ast.stmt]) -> dict[str, str]:
    """Return the module's constants that are texts."""
    found: dict[str, str] = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = text_of(node.value, found)
            if text != GAP:
                found[node.targets[0].id] = text
    return found


def text_of(node: ast.AST, known: dict[str, str]) -> str:
    """Return the text of an expression; an ellipsis stands for what is not constant."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else GAP
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, known) if isinstance(node.value, ast.Name) else GAP
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left, known) + text_of(node.right, known)
    if isinstance(node, ast.Name):
        return known.get(node.id, GAP)
    return text_of(node.body, known) if isinstance(node, ast.IfExp) else GAP
