"""A question: where does the cell rest, what does it cost, and how does it answer?"""

import functools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, declared
from jaxmem.membrane.state import Status
from jaxmem.study.rests import CODES, numbers_at_rest, told_of, types_at_rest
from jaxmem.study.scanning.question import STATUS, Output, Question


class Rests(Question):
    """The resting state of ``membrane`` (a typical cell) at each point: :func:`jaxmem.resting_state` and its costs.

    Outputs: ``v``, the dynamic concentrations, input resistance, time constant, pump current, ATP per second, power,
    residual, stability, iterations. ``keep`` chooses among them. Solved in float64; ``precision`` is that of what is kept.
    """

    membrane: Membrane
    precision: str = "float64"
    keep: tuple[str, ...] | None = None

    def __check_init__(self) -> None:
        if self.membrane.cells is not None:
            raise ValueError(
                "a scan wants the typical cell, without a cell axis; what differs is an axis of the design"
            )
        if self.precision not in ("float32", "float64"):
            raise ValueError(f"precision is 'float32' or 'float64', not {self.precision!r}")

    @property
    def kind(self) -> str:
        return "rests"

    @property
    def known(self) -> dict[str, Parameter]:
        return self.membrane.parameters()

    @property
    def declarations(self) -> dict[str, Declaration]:
        return {path: d for path, _, d in declared(self.membrane, absent=True)}

    @property
    def fates(self) -> dict[int, tuple[str, str]]:
        return {int(s): (s.name, s.reason) for s in Status}

    @property
    def whole_cell(self) -> dict[str, Any]:
        return {"area": self.membrane.geometry.area, "capacitance": self.membrane.capacitance}

    @property
    def working_bytes(self) -> int:
        return 8 * 20 * (len(self.membrane.pools()) + 4)

    @functools.cached_property
    def outputs(self) -> dict[str, Output]:
        """What there is to know of a point; found without a search, whose program would serve for nothing else."""
        types = types_at_rest(self.membrane)
        return {
            name: Output(*told[:2], np.dtype(self.precision) if types[name].kind == "f" else types[name], None, told[2])
            for name, told in self._told(types).items()
        }

    def answer(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> tuple[dict[str, np.ndarray], dict]:
        cells = at_points(self.membrane, values, len(index))
        found = numbers_at_rest(cells)
        told = self._told(found)
        kept = {
            name: x.astype(self.precision) if x.dtype.kind == "f" else x for name, x in found.items() if name in told
        }
        return kept, told

    def _told(self, there: Collection[str]) -> dict[str, tuple[str, str, dict[int, str] | None]]:
        """Unit, meaning and codes of what is kept of these numbers."""
        if odd := sorted(set(self.keep or ()) - set(there)):
            raise ValueError(f"keep: a rest has no {', '.join(odd)}; there are {', '.join(there)}")
        kept = [name for name in there if self.keep is None or name in self.keep or name == STATUS]
        words = lambda name: {int(w): w.name.lower() for w in CODES[name]} if name in CODES else None
        return {name: (*told_of(self.membrane, name), words(name)) for name in kept}


def at_points(membrane: Membrane, values: Mapping[str, np.ndarray], points: int) -> Membrane:
    """A population: the typical cell with these numbers. It has a cell axis whatever differs."""
    start = {"initial_v": np.broadcast_to(np.asarray(membrane.initial_v, float), (points,)).copy()}
    return membrane.with_parameters(start | dict(values))
