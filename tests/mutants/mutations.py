"""Small faults, planted on purpose: the same ones every time, spread over every module and over the workflow."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

LINES_PER_MUTANT = 150
WORKFLOW = Path("statemachines/report_export.asl.json")


class Mutant(NamedTuple):
    """One fault: the file as it is with it, and the lines of today's file that it changes."""

    path: Path
    name: str
    text: str
    lines: range


def of_module(path: Path, text: str) -> list[Mutant]:
    """The mutants of a module, one and one more for every :data:`LINES_PER_MUTANT` lines of it.

    Which ones depends on the names of its functions and on the order of what they do, not on lines or comments.
    """
    tree = ast.parse(text)
    counts: defaultdict[str, int] = defaultdict(int)
    possible = []
    for function, statement in _statements(tree):
        for node in ast.walk(statement):
            for kind, replacement in _changes(node):
                name = f"{function}: {kind}"
                counts[name] += 1
                place = hashlib.sha256(f"{path}:{name} {counts[name]}".encode()).digest()
                possible.append((place, function, f"{name}: {ast.unparse(node)[:60]}", statement, node, replacement))
    possible.sort(key=lambda each: each[0])
    chosen: dict[str, Mutant] = {}
    for _, function, name, statement, node, replacement in possible:
        if len(chosen) > text.count("\n") // LINES_PER_MUTANT:
            break
        if function not in chosen:
            lines = range(statement.lineno, _head(statement) + 1)
            chosen[function] = Mutant(path, name.replace("\n", " "), _mutated(tree, node, replacement), lines)
    return list(chosen.values())


def of_workflow(text: str) -> list[Mutant]:
    """The mutants of the state machine's definition: each lacks a retry, a catch, a time limit or a condition."""
    definition = json.loads(re.sub(r": (\$\{\w+\})", r': "bare \1"', text))  # numbers that CloudFormation puts in
    mutants = []
    for place in _parts_of_states(definition):
        changed = copy.deepcopy(definition)
        *way, last = place
        holder = changed
        for step in way:
            holder = holder[step]
        if last == "ConditionExpression":
            holder[last] = "attribute_exists(export_id)"
        else:
            del holder[last]
        name = " / ".join(str(step) for step in place)
        planted = re.sub(r'"bare (\$\{\w+\})"', r"\1", json.dumps(changed, indent=2))
        mutants.append(Mutant(WORKFLOW, f"without {name}", planted, range(0)))
    return mutants


def _parts_of_states(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key in ("Retry", "Catch", "TimeoutSeconds", "ConditionExpression", "ToleratedFailureCount"):
            yield (*place, key)
        yield from _parts_of_states(inner, (*place, key))


def _statements(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Every statement within a function, with the function's name; of a compound one only its head is looked at."""
    for owner, function in _functions(tree, ""):
        for statement in ast.walk(function):
            if isinstance(statement, ast.stmt) and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                bare = copy.copy(statement)
                for body in ("body", "orelse", "finalbody", "handlers", "cases"):
                    if hasattr(bare, body):
                        setattr(bare, body, [])
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                    yield owner, bare


def _functions(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{name}{child.name}.")


_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
}


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may be wrong with a node: the kind of the fault, and what stands there then."""
    match node:
        case ast.Compare(ops=[operator, *rest]) if type(operator) in _COMPARED:
            yield "comparison", ast.Compare(node.left, [_COMPARED[type(operator)](), *rest], node.comparators)
        case ast.BoolOp():
            yield "and or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield "not", node.operand
        case ast.BinOp() if type(node.op) in _CALCULATED and not _is_text(node):
            yield "arithmetic", ast.BinOp(node.left, _CALCULATED[type(node.op)](), node.right)
        case ast.Constant(value=bool()):
            yield "truth", ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield "number", ast.Constant(node.value + 1)
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            yield "nothing returned", ast.Return(ast.Constant(None))
        case ast.Raise() if node.exc:
            yield "nothing raised", ast.Pass()
        case ast.Expr(value=ast.Call()) if "logger" not in ast.unparse(node):
            yield "nothing called", ast.Pass()


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.JoinedStr | ast.List) for side in (node.left, node.right)) or any(
        isinstance(side, ast.Constant) and isinstance(side.value, str | bytes) for side in (node.left, node.right)
    )


def _head(statement: ast.stmt) -> int:
    """The last line of a statement without its blocks."""
    ends = (getattr(node, "end_lineno", None) for node in ast.iter_child_nodes(statement))
    return max((end for end in ends if end), default=statement.lineno)


def _mutated(tree: ast.Module, old: ast.AST, new: ast.AST) -> str:
    place = (type(old), getattr(old, "lineno", 0), getattr(old, "col_offset", 0), getattr(old, "end_col_offset", 0))

    class Planting(ast.NodeTransformer):
        done = False

        def visit(self, node: ast.AST) -> Any:
            here = (type(node), getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
            if not self.done and (*here, getattr(node, "end_col_offset", 0)) == place:
                self.done = True
                return ast.copy_location(new, node)
            return self.generic_visit(node)

    planting = Planting()
    planted = planting.visit(copy.deepcopy(tree))
    assert planting.done
    return ast.unparse(ast.fix_missing_locations(planted)) + "\n"
