"""What is public: ``python -m tests.public`` writes ``docs/api.md`` anew from the code."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import onebyone

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"

# What somebody who extends the package builds on, by what it is for.
MODULES = {
    "What was done, and what was proved": (
        "onebyone.report",
        "onebyone.certify.certificate",
        "onebyone.errors",
    ),
    "Targets": ("onebyone.layout.targets", "onebyone.layout.find_target"),
    "A dialect": (
        "onebyone.dialects.protocol",
        "onebyone.dialects.registry",
        "onebyone.axes.natives",
    ),
    "Into the engine": (
        "onebyone.axes.positional",
        "onebyone.axes.sizes",
        "onebyone.axes.meanings",
        "onebyone.axes.parts",
    ),
    "Out of the engine": (
        "onebyone.axes.graph",
        "onebyone.lower.holdings",
        "onebyone.lower.places",
    ),
    "What operators compute": (
        "onebyone.kernels.arithmetic",
        "onebyone.kernels.elementwise",
        "onebyone.kernels.errors",
        "onebyone.kernels.lines",
        "onebyone.kernels.places",
        "onebyone.kernels.products",
        "onebyone.kernels.resizing",
        "onebyone.kernels.windows",
    ),
}


def source(module: str) -> Path:
    """The file of a module, found without running it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, f"there is no module {module}"
    return Path(spec.origin)


def names(module: str) -> dict[str, str]:
    """Every name that a module defines without ``_``, with the first line of its docstring."""
    summaries: dict[str, str] = {}
    body = ast.parse(source(module).read_text(encoding="utf-8")).body
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(statement) or ""
            summaries[statement.name] = text.partition("\n")[0]
        else:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            targets += [statement.target] if isinstance(statement, ast.AnnAssign) else []
            for target in targets:
                if isinstance(target, ast.Name):
                    summaries[target.id] = _comment(module, statement.lineno)
    return {name: text for name, text in summaries.items() if not name.startswith("_")}


def _comment(module: str, line: int) -> str:
    """The comment above a constant, which says what it is."""
    above: list[str] = []
    for text in reversed(source(module).read_text(encoding="utf-8").splitlines()[: line - 1]):
        if not text.startswith("#"):
            break
        above.insert(0, text.lstrip("# "))
    return " ".join(above)


def front() -> dict[str, str]:
    """The names of ``onebyone`` itself."""
    found: dict[str, str] = {}
    for name in onebyone.__all__:
        home = onebyone._HOME.get(name)
        if home is None:
            found[name] = "The version of the package."
        elif home == f"onebyone.{name}":
            found[name] = (ast.get_docstring(ast.parse(source(home).read_text())) or "").partition(
                "\n"
            )[0]
        else:
            found[name] = names(home)[name]
    return found


def page() -> str:
    """The page of the interface."""
    parts = [
        "# What is public",
        "Written by `python -m tests.public` from the docstrings, which say the rest.",
        "## `onebyone`",
        _listed(front()),
    ]
    for title, modules in MODULES.items():
        parts.append(f"## {title}")
        for module in modules:
            parts += [f"### `{module}`", _listed(names(module))]
    return "\n\n".join(parts) + "\n"


def _listed(summaries: dict[str, str]) -> str:
    return "\n".join(f"- `{name}`: {text}" for name, text in sorted(summaries.items()))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
