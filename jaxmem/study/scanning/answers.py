"""A chunk's answers: every point gets its numbers or a reason, and no point spoils another."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmem.study.scanning.plan import Chunk, ScanPlan
from jaxmem.study.scanning.question import ERROR, STATUS, Output

FEW = 32  # points with errors of their own in one chunk; beyond that a whole part is given up at once
MESSAGES = 100  # texts of errors that are kept of a chunk


class Answers(NamedTuple):
    """Every output of a chunk, (n,) or (entries, n); texts of errors by point; seconds that asking took."""

    values: dict[str, np.ndarray]
    errors: dict[int, str]
    seconds: float


def answers(plan: ScanPlan, chunk: Chunk) -> Answers:
    """Ask at every point of the chunk. Raises only what is no point's fault: no memory, no disk, no device."""
    began = time.perf_counter()
    n = chunk.stop - chunk.start
    given = plan.parameters(plan.design.values(chunk.start, chunk.stop))
    code = plan.outside(given)
    known = plan.question.known
    sound = {p: np.where(code == 0, x, float(np.asarray(known[p].value))) for p, x in given.items()}
    index = np.arange(chunk.start, chunk.stop)
    whole = {name: empty(told, n) for name, told in plan.outputs.items()}
    errors: dict[int, str] = {}
    # one size is one program, where programs are of one size
    width = n if jax.default_backend() == "cpu" else plan.chunk
    for place, answer in _asked(plan, sound, index, np.arange(n), width, errors):
        for name, x in whole.items():
            x[..., place] = answer[name]
    for point in errors:
        whole[STATUS][point - chunk.start] = ERROR
    _unanswered(plan, whole, code)
    return Answers(whole, dict(list(errors.items())[:MESSAGES]), time.perf_counter() - began)


def unanswered(plan: ScanPlan, chunk: Chunk, status: int) -> Answers:
    """A chunk that was never asked through."""
    n = chunk.stop - chunk.start
    whole = {name: empty(told, n) for name, told in plan.outputs.items()}
    code = plan.outside(plan.parameters(plan.design.values(chunk.start, chunk.stop)))
    whole[STATUS][:] = status
    _unanswered(plan, whole, code)
    return Answers(whole, {}, 0.0)


def empty(told: Output, n: int) -> np.ndarray:
    """No answer: NaN, and -1 of whole numbers."""
    shape = (n,) if told.entries is None else (told.entries, n)
    return np.full(shape, np.nan if told.dtype.kind == "f" else -1, told.dtype)


def _unanswered(plan: ScanPlan, whole: dict[str, np.ndarray], code: np.ndarray) -> None:
    """Take back what was computed in place of points that cannot be."""
    bad = code != 0
    if bad.any():
        for name, told in plan.outputs.items():
            whole[name][..., bad] = empty(told, 1)
        whole[STATUS][bad] = code[bad]


def _asked(
    plan: ScanPlan,
    values: Mapping[str, np.ndarray],
    index: np.ndarray,
    place: np.ndarray,
    width: int,
    errors: dict[int, str],
) -> Iterator[tuple[np.ndarray, Mapping[str, Any]]]:
    """(places, answers) of the parts that could be asked; where a part raises, its halves are asked."""
    padded = np.resize(place, width) if place.size < width else place
    try:
        found = plan.question.ask({p: x[padded] for p, x in values.items()}, index[padded])
    except (ValueError, ArithmeticError, RuntimeError) as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        if place.size == 1 or len(errors) >= FEW:
            errors.update({int(index[i]): f"{type(error).__name__}: {error}" for i in place})
            return
        for half in np.array_split(place, 2):
            yield from _asked(plan, values, index, half, width, errors)
        return
    yield place, {name: x[..., : place.size] for name, x in found.items()}
