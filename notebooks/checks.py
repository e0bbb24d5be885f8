"""What readers complained of in the lessons, counted without executing anything.

Every function returns a list of findings as text. `tests/test_notebooks.py` compares
them with the exceptions in `allowed.toml`, which only gets shorter: an exception that
is no longer needed makes the test fail, too.
"""

import ast
import re
import symtable

LONGEST = 25  # lines of a code cell

# Words of a private vocabulary, and the ones to write instead.
WORDS = {
    r"maker": "generator",
    r"verdicts?": "logit, score",
    r"whoever": "a network that, a reader who",
    r"a judge": "discriminator",
}
# What a cell prints where an optional package, a file or a network is missing.
_SKIPPED = re.compile(
    r"(?i)\b(not installed|skipped|is missing|pip install|left out here|not found)\b"
)
_KINDS = {
    ast.FunctionDef: "a function",
    ast.ClassDef: "a class",
    ast.Import: "a module",
    ast.Dict: "a dict",
    ast.DictComp: "a dict",
    ast.List: "a list",
    ast.ListComp: "a list",
    ast.Tuple: "a tuple",
    ast.JoinedStr: "a text",
}


def tags(cell):
    return cell.metadata.get("tags", [])


def code(notebook):
    """Yields (number of the cell, cell) for all code cells."""
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            yield i, cell


def long_cells(notebook):
    """Finds code cells that are too long to read at once."""
    return [
        f"cell {i} has {len(cell.source.splitlines())} lines"
        for i, cell in code(notebook)
        if len(cell.source.splitlines()) > LONGEST
    ]


def skipped(notebook):
    """Finds outputs that say that something was left out."""
    found = []
    for i, cell in code(notebook):
        for output in cell.outputs:
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            found += [f"cell {i}: {m[0]!r}" for m in _SKIPPED.finditer(text)]
    return found


def open_solutions(notebook):
    """Finds solutions that are not folded together with their outputs."""
    return [
        f"cell {i} shows a solution"
        for i, cell in code(notebook)
        if cell.source.startswith("# @title Solution")
        and not (
            cell.metadata.get("cellView") == "form"
            and cell.metadata.get("jupyter", {}).get("source_hidden")
            and cell.metadata.get("jupyter", {}).get("outputs_hidden")
        )
    ]


def answers_in_checks(notebook):
    """Finds calls of `check` that show the answer instead of naming an exercise."""
    found = []
    for i, cell in code(notebook):
        if "solution" in tags(cell):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func).endswith("course.check")
            ):
                shown = [*node.args[1:], *(k.value for k in node.keywords)]
                is_name = isinstance(shown[0], ast.Constant)
                is_name = is_name and isinstance(shown[0].value, str)
                if not is_name or len(shown) > 1:
                    text = ", ".join(map(ast.unparse, shown))
                    found.append(f"cell {i}: check(..., {text})")
    return found


def wrong_solutions(notebook):
    """Finds solutions that an executed notebook does not call right."""
    found = []
    for i, cell in code(notebook):
        asked = re.findall(r"course\.check\((.*)\)", cell.source)
        if "solution" in tags(cell) and asked:
            said = "".join(output.get("text", "") for output in cell.outputs)
            if said.count("Right!\n") != len(asked):
                found.append(f"cell {i}: check({'; '.join(asked)})")
    return found


def private_words(notebook):
    """Finds words in the prose that are not those of the field."""
    found = []
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", cell.source)
            for word, instead in WORDS.items():
                for match in re.finditer(rf"(?i)\b{word}\b", prose):
                    found.append(f"cell {i}: {match[0]!r}; write {instead}")
    return found


def fast_branches(notebook):
    """Finds code of a lesson that depends on whether it is shortened."""
    return [
        f"cell {i} uses here.fast"
        for i, cell in code(notebook)
        if "here.fast" in cell.source
    ]


def rebound(notebook):
    """Finds names that mean something of another kind in a later cell.

    Functions, classes, modules and literals have a kind that can be seen in the source.
    A name of a function, a class or a module may not be bound to anything else.
    """
    kinds, found = {}, []
    for i, cell in code(notebook):
        here = {}
        for name, kind in _bindings(ast.parse(cell.source).body):
            here.setdefault(name, set()).add(kind)
        for name, new in here.items():
            old = kinds.setdefault(name, set())
            fixed = {"a function", "a class", "a module"}
            known = (old | new) - {"something"}
            if old and (len(known) > 1 or (known & fixed and "something" in old | new)):
                if not known <= old or "something" in new - old:
                    text = " and ".join(sorted(old | new))
                    found.append(f"cell {i}: `{name}` is {text}")
            old |= new
    return found


def _bindings(body):
    """Yields (name, kind) of what statements outside of functions bind."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                is_module = isinstance(node, ast.Import)
                kind = "a module" if is_module else "something imported"
                yield alias.asname or alias.name.split(".")[0], kind
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, _KINDS[type(node)]
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _targets(target, node.value)
        elif isinstance(node, ast.For):
            yield from _targets(node.target, None)
            yield from _bindings(node.body + node.orelse)
        elif isinstance(node, ast.If | ast.With | ast.While | ast.Try):
            for item in getattr(node, "items", []):
                if item.optional_vars is not None:
                    yield from _targets(item.optional_vars, None)
            yield from _bindings(node.body + getattr(node, "orelse", []))


def _targets(target, value):
    if isinstance(target, ast.Name):
        if isinstance(value, ast.Constant):
            if value.value is None or value.value is ...:
                return  # a place for an answer
            is_text = isinstance(value.value, str)
            yield target.id, "a text" if is_text else "a number"
        else:
            yield target.id, _KINDS.get(type(value), "something")
    elif isinstance(target, ast.Tuple | ast.List):
        values = [None] * len(target.elts)
        if isinstance(value, ast.Tuple) and len(value.elts) == len(values):
            values = value.elts
        for element, part in zip(target.elts, values, strict=True):
            yield from _targets(element, part)


def missing_without(notebook, tag):
    """Finds names that only cells with a tag define, and that others use later."""
    defined, only_there, found = set(), {}, []
    says_so = False  # an exercise on an optional section
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            says_so = "needs the optional section" in cell.source
            continue
        bound, used = _names(cell.source)
        if tag in tags(cell):
            for name in bound - defined:
                only_there[name] = i
            continue
        found += [
            f"cell {i} uses `{name}` of cell {only_there[name]}"
            for name in sorted(used - defined)
            if name in only_there and not says_so
        ]
        defined |= bound
    return found


def _names(source):
    """Returns the names that a cell binds, and those that it takes from others."""
    table = symtable.symtable(source, "cell", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
    bound |= {s.get_name() for s in table.get_symbols() if s.is_imported()}
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    tables = list(table.get_children())
    while tables:
        inner = tables.pop()
        used |= {s.get_name() for s in inner.get_symbols() if s.is_global()}
        tables += inner.get_children()
    return bound, used - bound


CHECKS = {
    "long_cells": long_cells,
    "skipped": skipped,
    "open_solutions": open_solutions,
    "answers_in_checks": answers_in_checks,
    "wrong_solutions": wrong_solutions,
    "private_words": private_words,
    "fast_branches": fast_branches,
    "rebound": rebound,
    "needs_solution": lambda notebook: missing_without(notebook, "solution"),
    "needs_optional": lambda notebook: missing_without(notebook, "optional"),
}
