"""What an expression may use to write a node."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onebyone.dialects.onnx.write.build import Build
from onebyone.dialects.onnx.write.constants import Constants
from onebyone.dialects.onnx.write.sizes import SizeVectors
from onebyone.lower.holdings import Holdings


@dataclass(frozen=True)
class Context:
    """The new graph, and where its tensors and constants are."""

    build: Build
    holdings: Holdings[ir.Value]
    constants: Constants
    sizes: SizeVectors

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return self.build.opset
