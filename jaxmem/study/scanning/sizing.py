"""How many points a chunk has: from a short trial and from the memory there is."""

import os
import time
from typing import NamedTuple

import jax
import numpy as np

from jaxmem.study.scanning.plan import ScanPlan
from jaxmem.study.scanning.question import OK, STATUS

SECONDS = 10.0  # of a chunk: what a killed worker loses, long beside what a chunk costs by itself
TRIAL = 1024  # points, spread over the design
TRIAL_SECONDS = 1.0  # of a second look, at more of them
LONG = 100.0  # s, compiling included; what takes longer is not asked a second time
STRETCHES = 8  # of the design that the trial looks at
SHARE = 0.1  # of the memory that is free, for the chunks that are worked on at a time
LEAST, MOST = 512, 2**20
ROUNDS = 4  # chunks per worker at the least, so that none waits long for another
CHUNKS = 50_000  # files in a folder, at the most


class Trial(NamedTuple):
    """``seconds`` per point, ``ready`` seconds before the first one (compiling), ``failed`` share of points tried."""

    points: int
    seconds: float
    ready: float
    failed: float
    memory: int

    @property
    def rate(self) -> float:
        return 1 / max(self.seconds, 1e-12)


def trial(plan: ScanPlan) -> Trial:
    """Ask at some of the points, spread over the design; at more of them where they are quickly through."""
    began = time.perf_counter()
    plan.outputs  # noqa: B018 - asks at one point, which compiles
    values, code = _spread(plan, TRIAL)
    status, first = _timed(plan, values, code)
    ready = time.perf_counter() - began
    status, spent = _timed(plan, values, code) if first < LONG else (status, first)
    more = int(min(plan.points, plan.question.most, TRIAL_SECONDS / max(spent, 1e-9) * len(code)))
    if more > 2 * len(code):  # few points do not keep all cores at work
        values, code = _spread(plan, more)
        status, spent = _timed(plan, values, code)
    failed = float(np.mean((status != OK) | (code != 0)))
    return Trial(len(code), spent / len(code), max(ready - min(first, spent), 0.0), failed, free_memory())


def _spread(plan: ScanPlan, n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values by path of about n points in a few stretches of the design, and which of them cannot be (their codes)."""
    n = min(n, plan.points)
    stretches = min(STRETCHES, n)
    size = n // stretches
    starts = np.linspace(0, plan.points - size, stretches).astype(np.int64)
    parts = [plan.design.values(int(s), int(s) + size) for s in starts]
    given = plan.parameters({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
    code = plan.outside(given)
    known = plan.question.known
    return {p: np.where(code == 0, x, float(np.asarray(known[p].value))) for p, x in given.items()}, code


def _timed(plan: ScanPlan, values: dict[str, np.ndarray], code: np.ndarray) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    try:
        status = plan.question.ask(values, np.arange(len(code)))[STATUS]
    except (OSError, MemoryError):
        raise
    except Exception:  # some point of these; which one, the scan itself finds out
        status = np.full(len(code), -1)
    return status, time.perf_counter() - began


def chunk_size(plan: ScanPlan, tried: Trial, workers: int) -> int:
    """Points of a chunk: ten seconds of work, within a tenth of the free memory, several for each worker."""
    by_time = SECONDS / max(tried.seconds, 1e-9)
    by_memory = SHARE * tried.memory / (max(workers, 1) * bytes_per_point(plan))
    fair = plan.points / (ROUNDS * max(workers, 1))
    size = min(by_time, by_memory, max(fair, 8 * LEAST), plan.question.most, MOST)
    size = max(size, plan.points / CHUNKS, LEAST)
    return max(1, min(plan.points, 2 ** int(np.log2(size))))


def bytes_per_point(plan: ScanPlan) -> int:
    """What a point takes while its chunk is worked on."""
    answered = sum(told.dtype.itemsize * (told.entries or 1) for told in plan.outputs.values())
    return plan.question.working_bytes + 3 * answered + 4 * 8 * len(plan.names)


def free_memory() -> int:
    """Bytes that the device of this process has to spare."""
    device = jax.devices()[0]
    if device.platform != "cpu" and (told := device.memory_stats()):
        return int(told["bytes_limit"] - told["bytes_in_use"])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 4 * 2**30
