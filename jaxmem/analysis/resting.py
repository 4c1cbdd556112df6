"""Cells that stand still: the steady state of each cell of a population.

Solved in float64 whatever the precision of the simulation, on the host's default device.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.setting import in_float64, moving_ions, widened
from jaxmem.analysis.small_systems import solve
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import select
from jaxmem.membrane.state import Accounts, State, Status

ROUNDS = (60, 240, 700)  # iterations; cells that are through leave between rounds
SEARCHING, ARRIVED, FIRES = 0, 1, 2
FIRST_STEP, SHORTEST_STEP, LONGEST_STEP = 0.1, 1e-6, 1e15  # ms of pseudo-time
LARGEST_MOVE_V, LARGEST_MOVE_C = 3.0, 0.1  # mV, and relative change of a concentration, in one step
SMALLEST_MOVE = 1e-10  # mV, and relative change of concentration, at which a cell counts as converged


@dataclasses.dataclass(frozen=True)
class RestingState:
    """Where each cell comes to rest, with all its ions.

    ``v`` (cells,) in mV, ``concentrations`` in mM by path (``na.inside``), ``status`` (:class:`jaxmem.Status`),
    ``residual``: the largest ion current left (uA/cm^2), ``state``: the state to start a simulation from.
    """

    v: np.ndarray
    concentrations: dict[str, np.ndarray]
    status: np.ndarray
    residual: np.ndarray
    state: State


@in_float64
def resting_state(membrane: Membrane) -> RestingState:
    """The steady state that each cell goes to from its initial voltage and concentrations, without firing on the way.

    All ion currents vanish, gates stand at their steady states, and the charge constraint C (v - v0) = -sum of charges
    carried picks the one state that the cell's impermeant charge allows. Found by pseudo-transient continuation:
    implicit Euler steps that grow until they are Newton steps. C. T. Kelley & D. E. Keyes (1998), SIAM J Numer Anal
    35:508, doi:10.1137/S0036142996304796.

    Status NO_STEADY_STATE has a cell whose slope conductance becomes negative on the way (there its rest ends and it
    fires), or whose search ran out of steps; its numbers are where the search ended. Raises ValueError for pools that are
    not ions (water, ATP, buffers).
    """
    check(membrane)
    wide = widened(membrane)
    state = jax.tree.map(lambda x: np.asarray(x), wide.initial_state())
    ions, closed = moving_ions(wide)
    unknown, closing = (tuple(ions[:-1]), ions[-1]) if closed and ions else (tuple(ions), None)
    u, converged = _relax(wide, np.asarray(state.v), unknown, closing)
    v, book = u[0], _book(wide, state, u, unknown, closing)
    env = wide.environment(book)
    states = {
        name: {s: jnp.zeros_like(v) + x for s, x in wide.mechanisms[name].initial(v, env).items()}
        for name in wide.order
    }
    flows = wide.fluxes(v, states, env)
    total = sum(flows[k].value for k in flows if wide.species[k].valence)
    residual = jnp.max(
        jnp.stack([jnp.abs(jnp.zeros_like(v) + x) for x in (total, *(flows[k].value for k in ions))]), axis=0
    )
    status = np.where(np.asarray(converged), Status.OK, Status.NO_STEADY_STATE).astype(np.int32)
    host = lambda tree: jax.tree.map(lambda x: np.asarray(x), tree)
    v, book, states = host((v, book, states))
    start = type(state.start)(v, state.v_low, states, state.last, {})
    none = {k: np.zeros_like(v) for k in book}
    rest = State(
        v=v, v_low=np.zeros_like(v), states=states, pending=none, total=book, total_low=none, trend=none, last=state.last,
        start=start, status=status, failed_at=np.where(status == Status.OK, -1, 0).astype(np.int32), step=state.step, lag=state.lag,
        cell=np.asarray(state.cell), rig={},
    )  # fmt: skip
    concentrations = {f"{k}.{side}": np.asarray(getattr(env, side)[k]) for k, side in wide.pools()}
    return RestingState(v, concentrations, status, np.asarray(residual), rest)


def _book(
    membrane: Membrane, state: State, u: Sequence[jax.Array], unknown: Sequence[str], closing: str | None
) -> Accounts:
    """The book at u = (v, charge carried by each unknown ion); the closing ion carries what the capacitor's charge demands."""
    book = {k: jnp.zeros_like(u[0]) for k in [*membrane.species, "electrode"]} | dict(zip(unknown, u[1:], strict=True))
    if closing is not None:
        book[closing] = -membrane.capacitance * (u[0] - state.v) - sum(u[1:])
    return book


def _relax(
    membrane: Membrane, v: np.ndarray, unknown: tuple[str, ...], closing: str | None
) -> tuple[list[jax.Array], np.ndarray]:
    """(unknowns, converged) of all cells; between rounds the cells that are through are set aside."""
    u = [np.array(v), *(np.zeros(v.shape) for _ in unknown)]
    h, outcome = np.full(v.shape, FIRST_STEP), np.full(v.shape, SEARCHING)
    for iterations in ROUNDS:
        left = np.flatnonzero(outcome == SEARCHING)
        if not left.size:
            break
        index: Any = ...
        if left.size < v.size:
            index = np.resize(left, 1 << int(np.ceil(np.log2(left.size))))  # few sizes, few compilations
        some = membrane if index is ... else select(membrane, index)
        part = ([x[index] for x in u], h[index], outcome[index])
        found = _round(some, jnp.asarray(v[index]), *part, iterations, unknown, closing)
        for old, new in zip((*u, h, outcome), jax.tree.leaves(found), strict=True):
            old[index] = new
    return [jnp.asarray(x) for x in u], outcome == ARRIVED


@functools.partial(jax.jit, static_argnums=(6, 7))
def _round(
    membrane: Membrane, v: jax.Array, u: list[jax.Array], h: jax.Array, outcome: jax.Array, iterations: int,
    unknown: tuple[str, ...], closing: str | None,
) -> tuple[list[jax.Array], jax.Array, jax.Array]:  # fmt: skip
    """(unknowns, pseudo-time step, outcome) after so many steps of the continuation, each cell at its own pace."""
    start = membrane.initial_state(v)
    ions = [*unknown, *([closing] if closing else [])]

    def concentrations(u: list[jax.Array]) -> list[jax.Array]:
        book = _book(membrane, start, u, unknown, closing)
        return [membrane.amount(k, side, book) for k, side in membrane.pools() if k in ions]

    def slope(u: list[jax.Array]) -> list[jax.Array]:
        """d/dt of the unknowns with gates at their steady states."""
        env = membrane.environment(_book(membrane, start, u, unknown, closing))
        states = {name: membrane.mechanisms[name].initial(u[0], env) for name in membrane.order}
        flows = membrane.fluxes(u[0], states, env)
        total = sum(flows[k].value for k in flows if membrane.species[k].valence)
        return [jnp.zeros_like(u[0]) + x for x in (-total / membrane.capacitance, *(flows[k].value for k in unknown))]

    def newton(u: list[jax.Array], h: jax.Array) -> tuple[list[jax.Array], jax.Array, jax.Array]:
        n = len(u)
        unit = lambda j: [jnp.ones_like(u[0]) if i == j else jnp.zeros_like(u[0]) for i in range(n)]
        columns = [jax.jvp(slope, (u,), (unit(j),))[1] for j in range(n)]
        matrix = [[(1 / h if i == j else 0.0) - columns[j][i] for j in range(n)] for i in range(n)]
        return *solve(matrix, slope(u)), columns[0][0]

    def one(carry: tuple) -> tuple:
        u, h, outcome, i = carry
        step, positive, gain = newton(u, h)
        fires = gain > 0
        new = [a + b for a, b in zip(u, step, strict=True)]
        before, after = concentrations(u), concentrations(new)
        ratio = [jnp.where(a > 0, jnp.abs(b / a - 1), jnp.inf) for a, b in zip(before, after, strict=True)]
        size = jnp.abs(step[0])
        worst = jnp.max(jnp.stack([size / LARGEST_MOVE_V, *(r / LARGEST_MOVE_C for r in ratio)]), 0)
        # where the determinant has changed sign, the step passes an unstable mode's time constant and would run backwards
        fine = jnp.isfinite(worst) & (worst < 1) & positive
        moved = jnp.max(jnp.stack([size, *ratio]), 0)
        arrived = fine & (h >= LONGEST_STEP) & (moved < SMALLEST_MOVE)
        u = [jnp.where(fine & ~fires & (outcome == SEARCHING), b, a) for a, b in zip(u, new, strict=True)]
        longer = jnp.minimum(h * jnp.where(worst < 0.3, 4.0, 1.5), LONGEST_STEP)
        h = jnp.where(fine, longer, jnp.maximum(h / 4, SHORTEST_STEP))
        news = jnp.where(fires, FIRES, jnp.where(arrived, ARRIVED, SEARCHING))
        return u, h, jnp.where(outcome == SEARCHING, news, outcome), i + 1

    going = lambda c: (c[3] < iterations) & jnp.any(c[2] == SEARCHING)
    u, h, outcome, _ = jax.lax.while_loop(going, one, (u, h, outcome, 0))
    return u, h, outcome
