"""The kernels are a witness independent of the engine: they import nothing of it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import onebyone.kernels

FOLDER = Path(onebyone.kernels.__file__).parent
FILES = sorted(FOLDER.glob("**/*.py"))
# Beside the standard library: arrays, and the error function that numpy lacks.
ADMITTED = {"numpy", "scipy"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, inside functions and for type checking as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_kernel_file_imports_numbers_and_kernels_alone(path: Path) -> None:
    for module in imported(ast.parse(path.read_text())):
        root = module.partition(".")[0]
        within = module == "onebyone.kernels" or module.startswith("onebyone.kernels.")
        assert within or root in ADMITTED or root in sys.stdlib_module_names, module


def test_there_are_files() -> None:
    assert len(FILES) > 5
