"""A chunk's answers: every point gets its numbers or a reason, and no point spoils another."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmem.study.scanning.plan import Chunk, ScanPlan
from jaxmem.study.scanning.question import ERROR, STATUS, Output

MOST = 200  # points of one chunk that may raise, each found by halves; where more do it is the question that is wrong
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
    for place, answer in _asked(plan, sound, index, np.arange(n), errors):
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
    plan: ScanPlan, values: Mapping[str, np.ndarray], index: np.ndarray, place: np.ndarray, errors: dict[int, str]
) -> Iterator[tuple[np.ndarray, Mapping[str, Any]]]:
    """(places, answers) of the parts that could be asked; where a part raises, its halves are asked."""
    padded = place
    if jax.default_backend() != "cpu":  # where programs are of one size, few sizes are few programs
        whole = place.size == min(len(index), plan.chunk)
        padded = np.resize(place, plan.chunk if whole else 1 << (place.size - 1).bit_length())
    try:
        found = plan.question.ask({p: x[padded] for p, x in values.items()}, index[padded])
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        text = f"{type(error).__name__}: {error}"
        if len(errors) >= MOST:
            raise ValueError(f"more than {MOST} of its points raise errors, the last {text}") from error
        if place.size == 1:
            errors[int(index[place[0]])] = text
            return
        for half in np.array_split(place, 2):
            yield from _asked(plan, values, index, half, errors)
        return
    yield place, {name: x[..., : place.size] for name, x in found.items()}
