"""What an expression may use to write a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from onebyone.axes.graph import Form, Value
from onebyone.dialects.aten.write.build import Build
from onebyone.dialects.aten.write.constants import Constants
from onebyone.dialects.aten.write.sizes import Sizes
from onebyone.lower import places
from onebyone.lower.holdings import Holdings

aten = torch.ops.aten


@dataclass(frozen=True)
class Context:
    """The new graph, and where its tensors, constants and sizes are."""

    build: Build
    holdings: Holdings[fx.Node]
    constants: Constants
    sizes: Sizes

    def reshape(self, value: Value, tensor: Any, form: Form) -> fx.Node:
        """The same elements in row-major order, in the positions of ``form``."""
        shape = self.sizes.shape(places.shape(value, form), infer=True)
        return self.build.op(aten.reshape.default, (tensor, shape), like=value)
