"""Small networks for the torch tests, beside those of `tests.zoo_models`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests import zoo_models as zoo

Built = tuple[nn.Module, dict[str, Any]]


class PointNet(nn.Module):
    """Shared FC layers over points as Conv1d, maximum over the points, FC head."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 32, 1, bias=False)
        )
        self.head = nn.Linear(32, 5)

    def forward(self, points: Tensor) -> Tensor:
        """``(B, 3, P)`` points to ``(B, 5)``."""
        return self.head(self.mlp(points).max(dim=2).values)


def mlpconv() -> nn.Sequential:
    """Network in Network: a convolution followed by FC layers at every pixel."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(12, 10, 1),
        nn.ReLU(),
        nn.Conv2d(10, 8, 1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 2, stride=2),
        nn.Flatten(),
        nn.Linear(6 * 8 * 8, 5),
    )


def build(name: str) -> Built:
    """A network by name, in evaluation mode, with biases that are not zero."""
    torch.manual_seed(0)
    if name == "mlpconv":
        model, inputs = mlpconv(), {"x": torch.randn(3, 3, 16, 16)}
    elif name == "pointnet":
        model, inputs = PointNet(), {"points": torch.randn(3, 3, 20)}
    else:
        model, inputs = getattr(zoo, name)(False)
    zoo.randomize(model)
    return model.eval(), inputs
