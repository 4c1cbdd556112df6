"""A scan that can be run: the question, the design, and how it is cut into chunks."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.parameters import path_error
from jaxmem.study.scanning.designs.design import Design
from jaxmem.study.scanning.question import ERROR, INVALID, POISON, STATUS, Output, Question

POINT = "point"


class Chunk(NamedTuple):
    """Points from ``start`` up to ``stop``, without it."""

    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.start:012d}-{self.stop:012d}"


@dataclasses.dataclass(frozen=True)
class ScanPlan:
    """``question`` at every point of ``design``, ``chunk`` points at a time.

    ``title``: the question in words; ``text``: the experiment file that asks it; ``regions``: conditions by name;
    ``about``: what else the provenance shall say; ``source``: the file, and what was overridden as it was written. It is
    pickled to workers.
    """

    question: Question
    design: Design
    chunk: int = 0
    title: str = ""
    text: str | None = None
    regions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    source: tuple[str, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        known = list(self.question.known)
        for path in self.design.axes:
            if path not in known:
                raise path_error(path, known)
            if (other := self.design.axes[path].times) is not None and other not in known:
                raise path_error(other, known)

    @property
    def points(self) -> int:
        return self.design.points

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """What each axis is called in results, by path."""
        return {path: axis.called(path) for path, axis in self.design.axes.items()}

    @functools.cached_property
    def statuses(self) -> dict[int, tuple[str, str]]:
        """What can become of a point: (NAME, reason) by code."""
        declarations = self.question.declarations
        invalid = {
            INVALID + i: ("INVALID_PARAMETER", f"{path} {_allowed(declarations[path])}")
            for i, path in enumerate(self.design.axes)
        }
        ours = {
            ERROR: ("ERROR", "the question raised an error at this point"),
            POISON: ("POISON", "its chunk killed the worker that computed it, each time it was tried"),
        }
        return self.question.fates | ours | invalid

    @functools.cached_property
    def outputs(self) -> dict[str, Output]:
        """The question's outputs; raises ValueError where one is called like an axis."""
        found = self.question.outputs
        for path, name in self.names.items():
            if name in found or name == POINT:
                text = f"the axis {path} and a result are both called {name!r}"
                raise ValueError(f'{text}; give the axis a name of its own, such as name = "given_{name}"')
        words = {code: name.lower() for code, (name, _) in self.statuses.items()}
        return found | {STATUS: found[STATUS]._replace(codes=words)}

    @functools.cached_property
    def identity(self) -> str:
        """A digest of what decides the numbers; chunks, executors and words are not in it."""
        asked = json.dumps([self.question.identity, self.design.told], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    def chunks(self) -> Iterator[Chunk]:
        """All of them, in order; made one at a time."""
        for start in range(0, self.points, self.chunk):
            yield Chunk(start, min(start + self.chunk, self.points))

    @property
    def count(self) -> int:
        return -(-self.points // self.chunk)

    # ------------------------------------------------------------------ values of parameters
    def parameters(self, coordinates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Numbers by path from coordinates by the axes' names."""
        axes = {path: (self.names[path], axis.times) for path, axis in self.design.axes.items()}
        return parameters(axes, self.question, coordinates)

    def outside(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n,) the code of the first axis whose value the parameter cannot take, 0 where all can."""
        declarations = self.question.declarations
        code = np.zeros(np.shape(next(iter(values.values()))), np.int32)
        for i, path in reversed(list(enumerate(self.design.axes))):
            x, d = values[path], declarations[path]
            bad = ~np.isfinite(x)
            if d.positive:
                bad |= ~(x > 0)
            if d.minimum is not None:
                bad |= x < d.minimum
            if d.maximum is not None:
                bad |= x > d.maximum
            code[bad] = INVALID + i
        return code


def parameters(
    axes: Mapping[str, tuple[str, str | None]], question: Question, coordinates: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Numbers by path from coordinates: ``axes`` has name and factor of each path; a factor multiplies what it is of."""
    known = question.known
    found: dict[str, np.ndarray] = {}

    def of(path: str, typical: bool = False) -> Any:
        if path in found and not typical:
            return found[path]
        if path not in axes or typical:
            return float(np.asarray(known[path].value))
        name, times = axes[path]
        x = np.asarray(coordinates[name], float)
        found[path] = x if times is None else x * of(times, times == path)
        return found[path]

    for path in axes:
        of(path)
    return found


def _allowed(d: Declaration) -> str:
    unit = "" if d.unit == "1" else f" {d.unit}"
    told = ["must be finite"]
    if d.positive:
        told = [f"must be above 0{unit}"]
    if d.minimum is not None:
        told = [f"must be at least {d.minimum:g}{unit}"]
    if d.maximum is not None:
        told.append(f"at most {d.maximum:g}{unit}")
    return " and ".join(told)
