"""A question: where does the cell rest, what does it cost, and how does it answer?"""

import functools
from collections.abc import Collection, Mapping

import numpy as np

from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import Parameter, declared
from jaxmem.study.problems import unknown
from jaxmem.study.rests import CODES, numbers_at_rest, told_of, types_at_rest
from jaxmem.study.scanning.of_a_cell import OfACell, at_points, check_precision, check_typical
from jaxmem.study.scanning.question import STATUS, Output


class Rests(OfACell):
    """The resting state of ``membrane`` (a typical cell) at each point: :func:`jaxmem.resting_state` and its costs.

    Outputs: ``v``, the dynamic concentrations, input resistance, time constant, pump current, ATP per second, power,
    residual, stability, iterations. ``keep`` chooses among them. Solved in float64; ``precision`` is that of what is kept.
    """

    membrane: Membrane
    precision: str = "float64"
    keep: tuple[str, ...] | None = None

    def __check_init__(self) -> None:
        check_typical(self.membrane)
        check_precision(self.precision)
        if isinstance(self.keep, str):
            raise ValueError(f"keep is a tuple of names; found the text {self.keep!r}: write ({self.keep!r},)")
        if self.keep is not None:
            self._told(types_at_rest(self.membrane))

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
            raise ValueError("\n".join(f"keep: {unknown(name, there, 'number of a rest')}" for name in odd))
        kept = [name for name in there if self.keep is None or name in self.keep or name == STATUS]
        words = lambda name: {int(w): w.name.lower() for w in CODES[name]} if name in CODES else None
        return {name: (*told_of(self.membrane, name), words(name)) for name in kept}
