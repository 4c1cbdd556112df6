"""The state of a population, and the point in state space that equations speak of."""

import enum
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

Accounts = dict[str, jax.Array]


class Status(enum.IntEnum):
    """What became of a cell."""

    OK = 0
    NOT_FINITE = 1
    EMPTY_POOL = 2
    NO_STEADY_STATE = 3
    NO_STEP = 4
    NOT_FOUND = 5

    @property
    def reason(self) -> str:
        return {
            Status.OK: "ok",
            Status.NOT_FINITE: "voltage, a state or a current became infinite or NaN (is dt too large for a conductance?)",
            Status.EMPTY_POOL: "an amount fell below zero (a pump or current outran its ion)",
            Status.NO_STEP: "no step met the tolerance of the adaptive integrator (a jump it was not told of? see max_steps)",
            Status.NO_STEADY_STATE: "no steady state to start from (it fires by itself, or its ions run away)",
            Status.NOT_FOUND: "no steady state was found in the iterations allowed (another start may help), or none is determined",
        }[self]


class Point(eqx.Module):
    """A point in state space, all parts at one time: what :meth:`Membrane.derivative` takes and returns.

    - ``v`` (..., cells): voltage, mV.
    - ``states``: mechanism -> state -> (..., cells).
    - ``book``: account -> (..., cells): charge carried outward per species and injected by the ``electrode`` since the
      start (nC/cm^2), and per pool named in transfers what they brought (mM of the starting volume).
    """

    v: Float[Array, "*cells"]
    states: dict[str, dict[str, jax.Array]]
    book: Accounts


class Snapshot(eqx.Module):
    """What the last interval began with: where a bad cell returns to."""

    v: Float[Array, "*cells"]
    v_low: Float[Array, "*cells"]
    states: dict[str, dict[str, jax.Array]]
    last: Accounts
    rig: dict[str, jax.Array]


class State(eqx.Module):
    """All that a run carries from step to step; continuing from it is continuing the run, bit for bit.

    The book is kept in two parts. ``pending`` sums what moved since the current refresh interval began; at its end it is
    added to ``total`` + ``total_low`` (compensated, so that float32 keeps what a step moves). A concentration is
    (start + what the book says)/relative volume: there is no second copy that could disagree.

    - ``v`` (..., cells) mV, and ``v_low``, what rounding left out of it: v + v_low is the voltage.
    - ``states``: mechanism -> state -> (..., cells); they lag v by ``lag`` ms (0 collocated, dt/2 within a run).
    - ``pending``, ``total``, ``total_low``, ``trend`` (what the last whole interval moved), ``last`` (what the last step
      moved, accounts of every-step species only): account -> (..., cells), units as in :class:`Point`.
    - ``start``: where the current interval began.
    - ``status`` (..., cells) int32, see :class:`Status`; ``failed_at``: step at which a cell was found bad, or -1.
    - ``step``: int32 scalar, steps since t = 0, shared by all cells.
    - ``cell`` (..., cells) int32: the cell's index in its population, which keys its random draws.
    - ``rig``: what the stimulus remembers from step to step: name -> (..., cells).
    - ``exchanged``: whether ``pending`` holds the transfers of an unfinished interval (some integrators make them at its end).
    """

    v: Float[Array, "*cells"]
    v_low: Float[Array, "*cells"]
    states: dict[str, dict[str, jax.Array]]
    pending: Accounts
    total: Accounts
    total_low: Accounts
    trend: Accounts
    last: Accounts
    start: Snapshot
    status: Int[Array, "*cells"]
    failed_at: Int[Array, "*cells"]
    step: Int[Array, ""]
    lag: Float[Array, ""]
    cell: Int[Array, "*cells"]
    rig: dict[str, jax.Array]
    exchanged: bool = eqx.field(static=True, default=False)

    def __getitem__(self, index: Any) -> "State":
        """The chosen cells, each with the index it has here; a state without a cell axis is the same for all."""
        return jax.tree.map(lambda x, mine: x[..., index] if mine else x, self, state_per_cell(self))

    @property
    def book(self) -> Accounts:
        """Every account up to now."""
        return {k: self.total[k] + (self.total_low[k] + self.pending[k]) for k in self.total}

    @property
    def book_at_start(self) -> Accounts:
        """Every account up to the beginning of the current interval."""
        return {k: self.total[k] + self.total_low[k] for k in self.total}


def state_per_cell(state: State) -> State:
    """The same tree with True where a leaf has a cell axis: all but the step counter and the lag."""
    everything = jax.tree.map(lambda x: np.ndim(x) > 0, state)
    return eqx.tree_at(lambda s: (s.step, s.lag), everything, (False, False))
