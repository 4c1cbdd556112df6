"""What every method of a fit is asked for."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector

SEARCHING, MET, FLAT, LOST = 0, 1, 2, 3  # met: every residual below the tolerance; flat: at a minimum


class Improved(NamedTuple):
    """Where each member stands: coordinates, unknowns at rest, outcome, the steps it took; and what a method that has evaluated
    this point knows of it: what is measured, its derivatives, the cost (infinite where no rest was found)."""

    y: Vector
    u: Vector
    outcome: Any
    steps: Any
    values: Vector = ()
    slopes: tuple[Vector, ...] = ()
    cost: Any = None


class Method(abc.ABC):
    """A way to go down the sum of squared residuals, member by member. ``redraws``: how often a failed fit begins again."""

    redraws: int = 0

    @abc.abstractmethod
    def improve(
        self,
        layout: Layout,
        numbers: Numbers,
        y: Vector,
        u: Vector,
        progress: Callable[[int], None],
    ) -> Improved:
        """From coordinates ``y`` (members) and rests ``u`` (conditions, members) to better ones, in their precision."""
