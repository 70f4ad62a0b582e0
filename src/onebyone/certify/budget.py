"""One budget of time and memory, kept by whatever runs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

from onebyone.kernels.errors import OverBudgetError

_T = TypeVar("_T")


class _Over(BaseException):
    """No `Exception`: what is run must not take it for a failure of its own."""


def within(deadline: float, work: Callable[[], _T]) -> _T:
    """The result of ``work``, which is stopped between two steps of Python at a deadline.

    Args:
        deadline: in ``time.monotonic()``.
        work: what is run, in this thread.

    Raises:
        OverBudgetError: the deadline has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise OverBudgetError("no time was left")
    thread, lock, state = threading.get_ident(), threading.Lock(), {"runs": True, "told": False}

    def stop() -> None:
        with lock:
            if state["runs"]:
                state["told"] = True
                _raise_in(thread, _Over)

    timer = threading.Timer(left, stop)
    timer.daemon = True
    timer.start()
    try:
        try:
            return work()
        finally:
            timer.cancel()
            with lock:
                state["runs"] = False
                if state["told"]:
                    # Told, and perhaps not heard yet: nothing after this shall hear it.
                    _raise_in(thread, None)
    except _Over:
        raise OverBudgetError("the time is over") from None


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


@contextlib.contextmanager
def memory_limit(size: int | None) -> Generator[None]:
    """Refuse this process more data than it has now and ``size`` bytes (on Linux)."""
    if size is None or not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_size() + size
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def machine_memory() -> int:
    """Bytes of memory that this machine has; as many as a small one where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 8 * 10**9


def _data_size() -> int:
    """Bytes of data that this process has asked for."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) * 1024
