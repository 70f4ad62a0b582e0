"""Walls of the package: what may import what, how long a file is, and what has a docstring.

Read from the source with `ast`, nothing is imported. Each list of exceptions is strict: a line
that no longer holds fails the test until it is removed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

SOURCE = Path(__file__).parents[1] / "src"
LONGEST = 400

When = Literal["run", "typing"]

# Import cycles that are known; each must go. Run-time imports, then those for types as well.
CYCLES: set[frozenset[str]] = set()
TYPING_CYCLES: set[frozenset[str]] = set()
# A framework, and the folders or files (without what follows) that may import it.
FRAMEWORKS: dict[str, tuple[str, ...]] = {
    "onnx": ("dialects.onnx.", "explain.onnx_"),
    "onnx_ir": ("dialects.onnx.", "explain.onnx_"),
    "onnxruntime": ("dialects.onnx.", "explain.onnx_"),
    "torch": ("dialects.aten.", "modules."),
    "safetensors": ("modules.",),
}
# The front doors name the frameworks' classes in their signatures.
FOR_TYPES = {"api", "certify.verify"}
# (importer, framework) that break `FRAMEWORKS` today; each must go.
FRAMEWORK_BREACHES: set[tuple[str, str]] = set()
# What a part of the package must not know of.
APART: dict[str, tuple[str, ...]] = {
    "kernels": ("axes", "certify", "dialects", "layout", "lower", "modules", "transforms"),
    "axes": ("certify", "dialects", "kernels", "layout", "lower", "modules", "transforms"),
    "layout": ("certify", "dialects", "kernels", "lower", "modules"),
    "certify": ("axes", "layout", "lower", "modules", "transforms"),
    "modules": ("axes", "certify", "dialects", "kernels", "layout", "lower", "transforms"),
}
# (importer, imported) that break `APART` today; each must go.
BREACHES: set[tuple[str, str]] = set()
# Files longer than `LONGEST` today; each must go.
LONG: set[str] = set()
# Functions and classes without a docstring today, by file; each must go.
UNDOCUMENTED: dict[str, set[str]] = {}


@dataclass(frozen=True)
class Import:
    """One import of a module: by whom, of what, and whether it is for types alone."""

    importer: str
    imported: str
    when: When
    line: int


@cache
def trees() -> Mapping[str, ast.Module]:
    """Every module of the package by its name without ``onebyone.``, parsed."""
    out: dict[str, ast.Module] = {}
    for path in sorted((SOURCE / "onebyone").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts[1:]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        out[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return out


def imports(trees: Mapping[str, ast.Module]) -> list[Import]:
    """Every import, at the top of a module or inside a function.

    A module of this package goes by its name without ``onebyone.``, any other by the name of its
    package with a colon before it.
    """
    out: list[Import] = []
    for importer, tree in trees.items():
        for node, when in _import_statements(tree, "run"):
            for full in _imported(node):
                head, _, rest = full.partition(".")
                # The longest name that is a module: what follows is a name in it.
                while head == "onebyone" and rest not in trees:
                    rest = rest.rpartition(".")[0]
                name = rest if head == "onebyone" else f":{head}"
                out.append(Import(importer, name, when, node.lineno))
    return out


def _import_statements(
    tree: ast.AST, when: When
) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    for child in ast.iter_child_nodes(tree):
        typing = isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test)
        inner: When = "typing" if typing and child not in tree.orelse else when
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inner
        yield from _import_statements(child, inner)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, "imports are absolute"
    yield from (f"{node.module}.{alias.name}" for alias in node.names)


def cycles(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """The sets of modules that reach each other: strongly connected ones, of two or more."""
    targets: dict[str, set[str]] = {}
    for importer, imported in pairs:
        if importer != imported:
            targets.setdefault(importer, set()).add(imported)

    @cache
    def reach(start: str) -> frozenset[str]:
        seen: set[str] = set()
        stack = list(targets.get(start, ()))
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                stack += targets.get(name, ())
        return frozenset(seen)

    return {
        frozenset(other for other in reach(name) if name in reach(other))
        for name in targets
        if name in reach(name)
    }


def test_nothing_imports_in_a_circle() -> None:
    """Imports inside functions count too: they only hide a circle."""
    every = imports(trees())
    run = cycles((i.importer, i.imported) for i in every if i.when == "run")
    assert run == CYCLES
    with_types = cycles((i.importer, i.imported) for i in every)
    # A circle of run-time imports may be part of a larger one for types.
    assert {c for c in with_types if not any(c <= known for known in CYCLES)} == TYPING_CYCLES


def framework_breaches(every: Iterable[Import]) -> set[tuple[str, str]]:
    """The imports of a framework where it may not be imported."""
    return {
        (i.importer, framework)
        for i in every
        for framework, allowed in FRAMEWORKS.items()
        if i.imported == f":{framework}"
        and not f"{i.importer}.".startswith(allowed)
        and not (i.when == "typing" and i.importer in FOR_TYPES)
    }


def test_frameworks_are_imported_by_their_dialect_alone() -> None:
    assert framework_breaches(imports(trees())) == FRAMEWORK_BREACHES


def breaches(every: Iterable[Import]) -> set[tuple[str, str]]:
    """The imports of one part of the package by another that must not know of it."""
    return {
        (i.importer, i.imported)
        for i in every
        for part, others in APART.items()
        if f"{i.importer}.".startswith(f"{part}.")
        and f"{i.imported}.".startswith(tuple(f"{other}." for other in others))
    }


def test_parts_that_must_not_know_each_other_do_not() -> None:
    """The interpreters are witnesses: `kernels` shares nothing with the engine that it judges."""
    assert breaches(imports(trees())) == BREACHES


def test_no_file_is_long() -> None:
    root = SOURCE / "onebyone"
    lines = {
        path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in root.rglob("*.py")
    }
    assert {name for name, count in lines.items() if count > LONGEST} == LONG


def undocumented(tree: ast.Module) -> set[str]:
    """Public functions, classes, and methods of public classes without a docstring.

    A name is public without a leading ``_``, however deep: nested functions do not count, and
    neither do methods that say what a base class or protocol says: those of a class with bases
    other than ``Protocol``, ``Generic`` and ``ABC``, and plain properties, whose name says it.
    """
    out: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if _has_decorator(node, "overload"):
            continue
        if ast.get_docstring(node) is None:
            out.add(node.name)
        if isinstance(node, ast.ClassDef) and not _has_base(node):
            out |= {
                f"{node.name}.{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef)
                and not method.name.startswith("_")
                and not _has_decorator(method, "property")
                and ast.get_docstring(method) is None
            }
    return out


def _has_base(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
    return bool(bases - {"Protocol", "Generic", "ABC"})


def _has_decorator(node: ast.FunctionDef | ast.ClassDef, name: str) -> bool:
    return any(name in ast.unparse(decorator) for decorator in node.decorator_list)


def test_public_names_have_docstrings() -> None:
    missing = {name: undocumented(tree) for name, tree in trees().items()}
    assert {name: names for name, names in missing.items() if names} == UNDOCUMENTED
    assert all(ast.get_docstring(tree) for tree in trees().values()), "a module without one"


def parsed(**sources: str) -> dict[str, ast.Module]:
    """Modules as `trees` gives them; ``__`` in a name stands for a dot."""
    return {name.replace("__", "."): ast.parse(source) for name, source in sources.items()}


def test_each_wall_can_fail() -> None:
    hidden = "def f():\n    from onebyone.a import g\n"
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import onebyone.a\n"
    for source, when in ((hidden, "run"), (for_types, "typing")):
        every = imports(parsed(a="from onebyone import b\n", b=source))
        assert [(i.importer, i.imported, i.when) for i in every if ":" not in i.imported] == [
            ("a", "b", "run"),
            ("b", "a", when),
        ]
        assert cycles((i.importer, i.imported) for i in every) == {frozenset({"a", "b"})}
    assert not cycles([("a", "b"), ("b", "c"), ("a", "c")])
    every = imports(parsed(axes__lift="import torch.fx\n", dialects__aten__files="import torch\n"))
    assert framework_breaches(every) == {("axes.lift", "torch")}
    typing = "if TYPE_CHECKING:\n    import onnx\nelse:\n    import onnx_ir\n"
    assert framework_breaches(imports(parsed(api=typing))) == {("api", "onnx_ir")}
    every = imports(parsed(kernels__lines="from onebyone.axes.sizes import Size\n", axes__sizes=""))
    assert breaches(every) == {("kernels.lines", "axes.sizes")}
    bare = "class A:\n    '''A.'''\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\n"
    assert undocumented(ast.parse(bare)) == {"A.f", "h"}
