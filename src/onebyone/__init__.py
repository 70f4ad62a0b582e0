"""A fully connected layer is a 1x1 convolution: turn one form into the other, and prove it.

Names are imported on first use, so that ``import onebyone`` stays fast and needs neither torch
nor onnx.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> the module that defines it
_HOME: dict[str, str] = {
    "Certificate": "onebyone.certify.certificate",
    "Conversion": "onebyone.api",
    "InputError": "onebyone.errors",
    "OnebyoneError": "onebyone.errors",
    "OutputError": "onebyone.errors",
    "Report": "onebyone.report",
    "Target": "onebyone.layout.targets",
    "convert": "onebyone.api",
    "convert_checkpoint": "onebyone.modules.checkpoint",
    "explain": "onebyone.explain",  # a module: explain.write(...)
    "inspect": "onebyone.api",
    "layers": "onebyone.modules.report",
    "plan": "onebyone.api",
    "to_conv": "onebyone.modules.swap",
    "to_linear": "onebyone.modules.swap",
    "verify": "onebyone.certify.verify",
}

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'onebyone' has no attribute {name!r}") from None
    module = importlib.import_module(home)
    return module if home == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
