"""Planning time by depth: Transformer encoders of 32 nodes a layer, cost and proven bound.

python -m benchmarks.plan_scale [--layers 10 50 160]
"""

from __future__ import annotations

import argparse
import time

import onebyone
from benchmarks.timing import table
from tests import deep


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[10, 50, 160])
    options = parser.parse_args()
    onebyone.plan(deep.encoder(1))
    rows = [["layers", "nodes", "wall s", "CPU s", "moves", "cost", "bound", "gap"]]
    for layers in options.layers:
        model = deep.encoder(layers)
        wall, cpu = time.perf_counter(), time.process_time()
        report = onebyone.plan(model)
        times = (f"{time.perf_counter() - wall:.1f}", f"{time.process_time() - cpu:.1f}")
        numbers = (f"{report.cost:.0f}", f"{report.bound:.0f}", f"{report.gap:.1%}")
        rows.append(
            [str(layers), str(len(model.graph.node)), *times, str(len(report.moves)), *numbers]
        )
    print(table(rows))


if __name__ == "__main__":
    main()
