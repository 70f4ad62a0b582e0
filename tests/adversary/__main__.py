"""``python -m tests.adversary``: the kill table of all pairs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.adversary import collect, run, truth


def main() -> int:
    """Certify the chosen pairs; 1 if anything was said that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversary", description=__doc__)
    parser.add_argument("--kind", action="append", choices=collect.modules(), help="a family")
    parser.add_argument("--name", help="pairs whose name contains this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every answer")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seconds", type=float, default=20.0, help="budget of one certificate")
    parser.add_argument("--labels", action="store_true", help="only recompute the labels")
    parser.add_argument("--why", action="store_true", help="print what the layers said")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the files of the pairs")
    given = parser.parse_args()
    chosen = [p for kind in given.kind or collect.modules() for p in collect.family(kind)]
    chosen = [p for p in chosen if (given.name or "") in p.name]
    if given.save:
        for pair in chosen:
            run.save(pair, given.save)
        return 0
    if given.labels:
        return _labels(chosen)
    found: list[run.Answer] = []
    for answer in run.answers(chosen, given.jobs, given.seconds):
        found.append(answer)
        if given.why:
            print(f"{answer.column:10} {answer.kind}/{answer.name}: {answer.why}", flush=True)
        elif sys.stderr.isatty():
            print(f"\r{len(found)} of {len(chosen)}", end="", file=sys.stderr)
    print(run.table(found))
    if given.json:
        given.json.write_text(json.dumps([asdict(a) for a in found], indent=1))
    return int(any(a.wrong for a in found))


def _labels(pairs: list[truth.Pair]) -> int:
    bad = 0
    for pair in pairs:
        try:
            truth.check(pair)
        except truth.BadPairError as error:
            bad += 1
            print(error)
    equal = sum(p.expected == "equal" for p in pairs)
    print(f"{len(pairs)} pairs, {equal} of them equal; {bad} labels are wrong")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
