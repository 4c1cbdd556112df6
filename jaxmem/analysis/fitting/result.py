"""What came of a fit."""

import dataclasses
import enum
import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.identifiability import Identifiability, identifiability
from jaxmem.analysis.fitting.problem import Problem
from jaxmem.analysis.fitting.target import Target
from jaxmem.analysis.resting import RestingState
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import replaced


class FitStatus(enum.IntEnum):
    """What became of a fit."""

    CONVERGED = 0
    STATIONARY = 1
    AT_BOUND = 2
    NO_STEADY_STATE = 3
    NOT_FINITE = 4
    ITERATIONS = 5

    @property
    def reason(self) -> str:
        """The status in words."""
        return {
            FitStatus.CONVERGED: "at a minimum that meets every target within three standard deviations",
            FitStatus.STATIONARY: "at a minimum that misses a target by more than three standard deviations",
            FitStatus.AT_BOUND: "the same, with a parameter that would go beyond its bound",
            FitStatus.NO_STEADY_STATE: "the cell has no resting state where the fit began, or none that is stable where it ended",
            FitStatus.NOT_FINITE: "a number is not finite",
            FitStatus.ITERATIONS: "ran out of iterations",
        }[self]


@dataclasses.dataclass(frozen=True, repr=False)
class Fit:
    """Fitted cells. ``S`` is the shape (starts, cells) less the axes that are not there.

    - ``parameters``: by path, of what was free or tied, S; ``at_bound``: which stand at a bound, S.
    - ``values``: by target, what it is at the fit, (conditions or samples..., *S); ``residuals``: the same less the target, in
      standard deviations, NaN where nothing was measured.
    - ``cost``: sum of squares of residuals and priors, S; ``status`` (:class:`FitStatus`) and ``iterations``, S.
    - ``rest``: the resting state, S, outside every condition of a target.
    - ``jacobian``: derivatives of the residuals (in the order of the targets, then priors) with respect to the coordinates
      (ln of a parameter on a logarithmic scale, else the parameter): (rows, coordinates, *S).
    - ``common``: of a pooled parameter, the value that cells spread around, by path, over starts.
    - ``mode``: how derivatives through time were taken, in words.
    """

    problem: Problem
    starts: int | None
    parameters: dict[str, np.ndarray]
    at_bound: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    residuals: dict[str, np.ndarray]
    cost: np.ndarray
    status: np.ndarray
    iterations: np.ndarray
    rest: RestingState
    jacobian: np.ndarray
    common: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    mode: str = ""

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{int(n)} {FitStatus(s).name}" for s, n in zip(*np.unique(self.status, return_counts=True), strict=True)
        )
        return f"Fit of {', '.join(self.problem.free)} to {', '.join(self.problem.targets)}: {counts}"

    def __str__(self) -> str:
        return "\n".join([repr(self), *self.words])

    @property
    def free(self) -> dict[str, Free]:
        return self.problem.free

    @property
    def targets(self) -> dict[str, Target]:
        return self.problem.targets

    @property
    def tied(self) -> dict[str, tuple[str, Any]]:
        """Path of a tied parameter: the free one it goes with, and the ratio."""
        return self.problem.tied

    @functools.cached_property
    def membrane(self) -> Membrane:
        """The fitted cells, in no condition but their own."""
        return replaced(self.problem.membrane, self.parameters)

    @property
    def converged(self) -> np.ndarray:
        """Which fits meet their targets, S."""
        return self.status == FitStatus.CONVERGED

    @functools.cached_property
    def identifiability(self) -> Identifiability:
        """What the targets say of the parameters: Fisher information, standard errors, null directions, in words.

        The words are about fits that ended inside their bounds, where there are any.
        """
        status = np.asarray(self.status)
        good = status <= FitStatus.STATIONARY
        lost = (status == FitStatus.NO_STEADY_STATE) | (status == FitStatus.NOT_FINITE)
        return identifiability(self, ~lost, good if good.any() else None)

    @functools.cached_property
    def words(self) -> list[str]:
        """What the fit has to say: which targets are missed and why, what is fixed and what is not; a sentence each."""
        from jaxmem.analysis.fitting.told import told

        return told(self)

    def best(self) -> "Fit":
        """Of each cell the start that fits best: a converged one before others, then the one of least cost."""
        if self.starts is None:
            return self
        cost = np.where(np.isnan(self.cost), np.inf, self.cost)
        order = np.lexsort((cost, ~self.converged), axis=0)
        return self._picked(order[0])

    def save(self, path: Any, *, attributes: Mapping[str, Any] | None = None, overwrite: bool = False) -> None:
        """Write every number of every start and cell to one HDF5 file, which ``jaxmem show`` and ``jaxmem plot`` know.

        ``attributes`` are kept with the provenance. Raises what :meth:`jaxmem.Simulation.save` raises.
        """
        from jaxmem.study.fits import save_fit

        save_fit(self, path, attributes=attributes, overwrite=overwrite)

    def _picked(self, start: np.ndarray) -> "Fit":
        """The fit with one start of every cell."""
        celled = self.problem.cells is not None

        def pick(x: Any) -> Any:
            a = np.asarray(x)
            if not celled:
                return a[..., start]
            return np.take_along_axis(a, np.broadcast_to(start, (*a.shape[:-2], 1, start.size)), -2)[..., 0, :]

        each = lambda table: {k: pick(x) for k, x in table.items()}
        mine = lambda x: np.ndim(x) >= self.cost.ndim and np.shape(x)[np.ndim(x) - self.cost.ndim :] == self.cost.shape
        parameters = each(self.parameters)
        rest = eqx.tree_at(
            lambda r: r.membrane, jax.tree.map(lambda x: pick(x) if mine(x) else x, self.rest),
            replaced(self.problem.membrane, parameters),
        )  # fmt: skip
        return dataclasses.replace(
            self, starts=None, parameters=parameters, at_bound=each(self.at_bound), values=each(self.values),
            residuals=each(self.residuals), cost=pick(self.cost), status=pick(self.status), iterations=pick(self.iterations),
            rest=rest, jacobian=pick(self.jacobian), common={k: x[start.flat[0]] for k, x in self.common.items()},
        )  # fmt: skip
