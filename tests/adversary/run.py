"""Certify pairs in processes of their own, and count what was said about them."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.adversary import collect
from tests.adversary.pairs import Pair, Program, Side

# Answers besides the exit codes of ``verify``: an exception, and a process that died or hung.
FAILED, DIED = 4, 5
_NAMES = {0: "0", 1: "1", 2: "2", 3: "3", FAILED: "failed", DIED: "died"}


@dataclass(frozen=True)
class Answer:
    """What ``verify`` said about one pair: its exit code, or `FAILED` or `DIED`, and why."""

    name: str
    kind: str
    expected: str
    code: int
    why: str

    @property
    def wrong(self) -> bool:
        """Whether it is a false proof, a false alarm, or no answer at all."""
        return self.code > 2 or self.code == (0 if self.expected == "differ" else 1)

    @property
    def column(self) -> str:
        """The column of the kill table."""
        return f"{self.expected}→{_NAMES[self.code]}"


def opened(side: Side) -> Any:
    """A side as ``verify`` takes it."""
    if not isinstance(side, Program):
        return side
    from tests.adversary.programs import exported

    return exported(side)


def answer(pair: Pair, seconds: float = 20.0) -> Answer:
    """Certify one pair."""
    from onebyone.certify.verify import verify
    from onebyone.errors import InputError

    try:
        certificate = verify(opened(pair.first), opened(pair.second), seconds=seconds)
        code = certificate.exit_code
        why = "; ".join(f"{f.name} {f.verdict}: {f.summary}" for f in certificate.layers)
    except InputError as error:
        code, why = 3, str(error)
    except Exception as error:
        code, why = FAILED, f"{type(error).__name__}: {error}"
    return Answer(pair.name, pair.kind, pair.expected, code, why)


def _answered(sent: Pair | tuple[str, str], seconds: float) -> Answer:
    """In a worker: functions of programs cannot be sent to it, so it makes such a pair itself."""
    if isinstance(sent, Pair):
        pair = sent
    else:
        pair = next(p for p in collect.family(sent[0]) if p.name == sent[1])
    warnings.simplefilter("ignore")
    signal.alarm(int(6 * seconds))
    try:
        return answer(pair, seconds)
    finally:
        signal.alarm(0)


def save(pair: Pair, folder: Path) -> None:
    """Write both sides as files, to try by hand."""
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    for letter, side in (("a", pair.first), ("b", pair.second)):
        if isinstance(side, Program):
            import torch

            torch.export.save(opened(side), folder / f"{pair.name}.{letter}.pt2")
        else:
            onnx.save(side, folder / f"{pair.name}.{letter}.onnx")


def answers(pairs: Sequence[Pair], jobs: int = 1, seconds: float = 20.0) -> Iterator[Answer]:
    """Certify pairs, as they come; one that kills its process is `DIED` and stops no other."""
    left = {p.id: p for p in pairs}
    try:
        yield from _pooled(left, jobs, seconds)
    except BrokenProcessPool:
        for pair in list(left.values()):
            try:
                yield from _pooled({pair.id: pair}, 1, seconds)
            except BrokenProcessPool:
                yield Answer(pair.name, pair.kind, pair.expected, DIED, "the process died or hung")


def _pooled(left: dict[str, Pair], jobs: int, seconds: float) -> Iterator[Answer]:
    # ONNX Runtime and PyTorch hold threads, which a forked process would miss.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        sent = [(p.kind, p.name) if p.is_program else p for p in left.values()]
        futures = [pool.submit(_answered, s, seconds) for s in sent]
        for future in as_completed(futures):
            found = future.result()
            del left[f"{found.kind}/{found.name}"]
            yield found


def table(found: Iterable[Answer]) -> str:
    """The kill table by family, then each wrong answer and each undecided equal pair by name."""
    found = sorted(found, key=lambda a: (a.kind, a.name))
    columns = [f"{label}→{code}" for label in ("differ", "equal") for code in (0, 1, 2)]
    columns += sorted({a.column for a in found} - set(columns))
    lines = [f"{'family':14}" + "".join(f"{c:>11}" for c in columns)]
    for kind in [*dict.fromkeys(a.kind for a in found), "all"]:
        counts = Counter(a.column for a in found if kind in (a.kind, "all"))
        lines.append(f"{kind:14}" + "".join(f"{counts[c]:>11}" for c in columns))
    for title, chosen in (
        ("wrong", [a for a in found if a.wrong]),
        ("undecided among equal", [a for a in found if a.column == "equal→2"]),
    ):
        lines.append(f"\n{title}: {len(chosen)}")
        lines += [f"  {a.column:10} {a.kind}/{a.name}" for a in chosen]
    return "\n".join(lines)
