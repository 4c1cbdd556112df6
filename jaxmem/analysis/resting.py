"""Cells that stand still: the steady state of each cell of a population, its stability, and its derivatives."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis import pseudo_transient
from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.pseudo_transient import ARRIVED, AWAY, BROKEN, FIRES, SEARCHING, Search, Task
from jaxmem.analysis.setting import checked, flattened, healed, widest
from jaxmem.analysis.small_systems import jacobian
from jaxmem.analysis.spectrum import Spectrum, spectrum
from jaxmem.analysis.stability import Stability, determined, runs_away, stability
from jaxmem.analysis.unknowns import (
    Unknowns,
    Vector,
    amounts,
    changes,
    imbalance,
    point,
    settled_book,
    start_from,
    start_of,
    unknowns,
)
from jaxmem.membrane.mechanism import States
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import is_traced, select
from jaxmem.membrane.state import Accounts, Point, Snapshot, State, Status

ROUNDS = (24, 48, 144, 600)  # iterations; cells that are through leave between rounds
# largest move in one step: mV, of a logarithm, of an occupancy; smaller where a step could pass over a spike's threshold
SCALE_V, SCALE_V_EXCITABLE, SCALE_AMOUNT, SCALE_STATE = 20.0, 5.0, 1.0, 0.2
STAYS = 1e-6  # 1/ms: a rate like those of other amounts, for one that has none
BOX_V, BOX_AMOUNT, BOX_STATE = 500.0, 14.0, 10.0  # the same, from the start: what is beyond runs away


class RestingState(eqx.Module):
    """Where each cell comes to rest, with all its ions. A JAX tree: it goes through ``jit``, ``grad`` and ``vmap``.

    - ``v`` (cells,) in mV, ``concentrations`` in mM by path (``na.inside``).
    - ``status`` (:class:`jaxmem.Status`) and ``stability`` (:class:`jaxmem.Stability`) per cell.
    - ``residual``: the largest current left, of the membrane or of a pool (uA/cm^2); ``iterations`` it took.
    - ``state``: the state to start a simulation from; ``membrane``: whose rest this is.
    """

    v: jax.Array
    concentrations: dict[str, jax.Array]
    status: jax.Array
    stability: jax.Array
    residual: jax.Array
    iterations: jax.Array
    state: State
    membrane: Membrane

    @property
    def spectrum(self) -> Spectrum:
        """Eigenvalues and time constants, see :class:`jaxmem.analysis.spectrum.Spectrum`."""
        return spectrum(self.membrane, self.state)

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues (cells, modes) of all states, 1/ms, the slowest first, conserved modes left out."""
        return self.spectrum.eigenvalues


class _Report(NamedTuple):
    """What there is to say of each cell where its search ended."""

    v: jax.Array
    states: dict[str, States]
    book: Accounts
    concentrations: dict[str, jax.Array]
    status: jax.Array
    stability: jax.Array
    residual: jax.Array
    iterations: jax.Array


def resting_state(membrane: Membrane, *, initial: State | None = None, precision: str = "float64") -> RestingState:
    """The steady state that each cell goes to from its initial voltage and concentrations, without firing on the way.

    ``C dv/dt = -sum of currents = 0`` and ``d(amount)/dt = 0`` of every dynamic pool; gates and schemes stand at their
    steady states, and each conservation law (the charge on the capacitor and what ions carried; amounts inside and
    outside) makes one amount follow from others, so that no equation is redundant. Where no concentration is dynamic,
    the voltage alone is sought. Found by implicit steps that grow into Newton's
    (:mod:`jaxmem.analysis.pseudo_transient`), in ``precision`` whatever that of a simulation; inside ``jit``, ``grad``
    and ``vmap`` in the precision of what is traced. ``initial`` is another state to search from; what is conserved stays
    as the membrane has it.

    Derivatives of everything at rest with respect to every parameter are those of the implicit function theorem
    (``du/dp = -(df/du)^-1 df/dp``), forward, reverse, and nested. A cell that found no rest is constant to them.

    Status, per cell: OK; NO_STEADY_STATE where its ions or volume run away, its voltage is moved by nothing, its rest is
    unstable, or voltage and gates would by themselves run away or oscillate somewhere on the way (it fires: where it goes
    then, a simulation tells); NOT_FOUND where the search ran out of iterations or the equations do not determine a rest;
    NOT_FINITE where a parameter is not finite. The numbers of such cells are where the search ended. An OK cell with gates
    stands still stably, but a run from its start may end in a limit cycle beside that rest (about 1 in 1000 of neurons
    with conductances over one and a half decades). Raises :class:`MembraneError` for numbers out of range.
    """
    if is_traced((membrane, initial)):
        return _differentiable(membrane, initial, jnp.result_type(float, *jax.tree.leaves(membrane)))
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is 'float32' or 'float64', not {precision!r}")
    with jax.enable_x64(True):
        return _solved(membrane, initial, np.dtype(precision))


# ------------------------------------------------------------------ pure
def _searched(membrane: Membrane, layout: Unknowns, found: Search, iterations: Any) -> Search:
    """The search so many iterations further."""
    return pseudo_transient.search(_task(membrane, layout), found, iterations)


def _task(membrane: Membrane, layout: Unknowns) -> Task:
    kinds = lambda v, amount, state: (v, *[amount] * len(layout.followed), *[state] * len(layout.states))

    def valid(u: Vector) -> jax.Array:
        held = amounts(membrane, layout, u)
        tied = [held[pool] > 0 for pool, terms in layout.tied if terms]
        return functools.reduce(jnp.logical_and, tied, jnp.ones(u[0].shape, bool))

    excitable = bool(layout.eliminated)
    return Task(
        functools.partial(changes, membrane, layout), valid,
        kinds(SCALE_V_EXCITABLE if excitable else SCALE_V, SCALE_AMOUNT, SCALE_STATE), kinds(BOX_V, BOX_AMOUNT, BOX_STATE),
        functools.partial(_fires, membrane, layout) if excitable else None,
    )  # fmt: skip


def _fires(membrane: Membrane, layout: Unknowns, u: Vector) -> jax.Array:
    """Whether voltage and gates would run away or oscillate while amounts stand still."""
    full = unknowns(membrane, full=True)
    whole = start_from(membrane, full, point(membrane, layout, u))
    amounts_end = 1 + len(full.followed)

    def fast(w: Vector) -> Vector:
        change = changes(membrane, full, (w[0], *whole[1:amounts_end], *w[1:]))
        return (change[0], *change[amounts_end:])

    _, matrix = jacobian(fast, (whole[0], *whole[amounts_end:]))
    return runs_away(widest(jnp.stack([jnp.stack(row) for row in matrix])))  # in float32 its powers would be denormal


def _report(membrane: Membrane, layout: Unknowns, found: Search, u: Vector, accounts: tuple[str, ...]) -> _Report:
    here = point(membrane, layout, u)
    full = unknowns(membrane, full=True)
    fixed, wide = jax.lax.optimization_barrier(jax.tree.map(widest, jax.lax.stop_gradient((membrane, here))))
    whole = start_from(fixed, full, wide)
    value, matrix = jacobian(functools.partial(changes, fixed, full), whole)
    last = (0, *range(1 + len(full.followed), len(whole)), *range(1, 1 + len(full.followed)))  # amounts last
    for i in range(1, 1 + len(full.followed)):  # an ion that nothing moves in this cell stays, wherever it is
        still = functools.reduce(jnp.logical_and, [x == 0 for x in matrix[i]])
        matrix[i][i] = jnp.where(still, -STAYS, matrix[i][i])
    stacked = jnp.stack([jnp.stack([matrix[i][j] for j in last]) for i in last])
    stacked = jax.lax.optimization_barrier(stacked)
    stable, _ = stability(stacked, len(full.followed))

    gone = (found.outcome == AWAY) | (found.outcome == FIRES) | ~found.moves | (stable == Stability.UNSTABLE)
    searching = (found.outcome == SEARCHING) | ~determined(stacked, len(full.followed))
    status = jnp.where(searching, int(Status.NOT_FOUND), int(Status.OK))
    status = jnp.where(gone, int(Status.NO_STEADY_STATE), status)
    status = jnp.where((found.outcome == BROKEN) | ~jnp.isfinite(sum(u)), int(Status.NOT_FINITE), status)

    concentrations = _concentrations(membrane, here)
    residual = imbalance(fixed, full, whole, value).astype(u[0].dtype)
    book = settled_book(membrane, layout, u, accounts)
    return _Report(u[0], here.states, book, concentrations, status.astype(jnp.int32), stable, residual, found.steps)


def _concentrations(membrane: Membrane, here: Point) -> dict[str, jax.Array]:
    env = membrane.environment(here.book)
    level = lambda k, side: env.volume if k == membrane.water else getattr(env, side)[k]
    return {f"{k}.{side}": jnp.zeros_like(here.v) + level(k, side) for k, side in membrane.pools()}


def rest_at(membrane: Membrane, layout: Unknowns, u: Vector) -> RestingState:
    """The resting state that these unknowns stand for, taken for one: nothing is sought and nothing judged."""
    here, zero = point(membrane, layout, u), jnp.zeros_like(u[0])
    outline = jax.eval_shape(lambda m: m.initial_state(), membrane)
    book = settled_book(membrane, layout, u, tuple(outline.total))
    none = jnp.zeros(u[0].shape, jnp.int32)
    report = _Report(u[0], here.states, book, _concentrations(membrane, here), none, none, zero, none)
    index = jnp.broadcast_to(jnp.arange(u[0].shape[-1] if u[0].ndim else 1, dtype=jnp.int32), u[0].shape or (1,))
    state = eqx.tree_at(
        lambda s: (s.step, s.lag, s.cell), outline, (np.int32(0), jnp.zeros((), u[0].dtype), index.reshape(u[0].shape))
    )
    return _rest(membrane, report, state)


def _rest(membrane: Membrane, report: _Report, state: State) -> RestingState:
    none = {k: 0 * report.v for k in report.book}
    zero, last = 0 * report.v, {k: 0 * report.v for k in state.last}
    rest = State(
        v=report.v, v_low=zero, states=report.states, pending=none, total=report.book, total_low=none, trend=none, last=last,
        start=Snapshot(report.v, zero, report.states, last, {}), status=report.status,
        failed_at=-1 * (report.status == Status.OK), step=state.step, lag=state.lag, cell=state.cell, rig={},
    )  # fmt: skip
    told = (report.status, report.stability, report.residual, report.iterations)
    return RestingState(report.v, report.concentrations, *told, rest, membrane)


@functools.partial(jax.jit, static_argnums=2)
def _differentiable(membrane: Membrane, initial: State | None, dtype: Any) -> RestingState:
    """All cells in one loop."""
    layout = unknowns(membrane)
    state = membrane.initial_state(dtype=dtype) if initial is None else initial
    fixed = jax.lax.stop_gradient(membrane)
    start = pseudo_transient.begin(start_of(fixed, layout, jax.lax.stop_gradient(state)))
    found = jax.lax.stop_gradient(_searched(fixed, layout, start, sum(ROUNDS)))
    good = (found.outcome == ARRIVED) & found.moves
    some, u = healed(membrane, good), healed(found.u, good, everywhere=True)
    exact = pseudo_transient.attached(functools.partial(changes, some, layout), u)
    u = tuple(jnp.where(good, a, b) for a, b in zip(exact, found.u, strict=True))
    return _rest(membrane, _report(some, layout, found, u, tuple(state.total)), state)


# ------------------------------------------------------------------ concrete: in blocks, in rounds
def _begun(given: tuple[Membrane, Point | None, jax.Array], layout: Unknowns) -> Search:
    membrane, here, cells = given
    if here is None:
        v = jnp.zeros_like(cells) + membrane.initial_v
        return pseudo_transient.begin(start_of(membrane, layout, membrane.initial_state(v, dtype=cells.dtype)))
    # one cell from a given point has no axis of its own
    start = tuple(jnp.zeros_like(cells) + x for x in start_from(membrane, layout, here))
    return pseudo_transient.warmed(_task(membrane, layout), pseudo_transient.begin(start))


def _continued(given: tuple[Membrane, Search, jax.Array], layout: Unknowns) -> Search:
    membrane, found, iterations = given  # a number, so that one program serves every round
    return _searched(membrane, layout, found, iterations)


def _reported(given: tuple[Membrane, Search], layout: Unknowns, accounts: tuple[str, ...]) -> _Report:
    return _report(given[0], layout, given[1], given[1].u, accounts)


def _solved(membrane: Membrane, initial: State | None, dtype: np.dtype) -> RestingState:
    finite = checked(membrane)
    narrow = lambda x: np.asarray(x, dtype) if np.issubdtype(np.asarray(x).dtype, np.floating) else np.asarray(x)
    here = None if initial is None else Point(initial.v, initial.states, initial.book)
    flat, start, shape = flattened(*jax.tree.map(narrow, (membrane, here)))
    layout, cells = unknowns(membrane), int(np.prod(shape))
    outline = jax.eval_shape(lambda m: m.initial_state(), flat) if initial is None else initial
    found = in_blocks(_begun, (flat, start, np.zeros(cells, dtype)), cells, layout)
    for iterations in ROUNDS:
        left = np.flatnonzero(found.outcome == SEARCHING)
        if left.size == cells:
            found = in_blocks(_continued, (flat, found, np.int32(iterations)), cells, layout)
        elif left.size:
            some = (select(flat, left), _taken(found, left), np.int32(iterations))
            news = in_blocks(_continued, some, left.size, layout)
            found = jax.tree.map(functools.partial(_put, left), found, news)
    report = in_blocks(_reported, (flat, found), cells, layout, tuple(outline.total))
    report = jax.tree.map(lambda x: x.reshape(shape), report)
    report = report._replace(status=np.where(finite, report.status, int(Status.NOT_FINITE)).astype(np.int32))
    index = np.broadcast_to(np.arange(shape[-1] if shape else 1, dtype=np.int32), shape or (1,)).reshape(shape)
    bare = eqx.tree_at(lambda s: (s.step, s.lag, s.cell), outline, (np.int32(0), np.zeros((), dtype), index))
    return _rest(membrane, report, bare if initial is None else initial)


def _taken(found: Search, which: np.ndarray) -> Search:
    return jax.tree.map(lambda x: x[which], found)


def _put(which: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    old = old.copy()
    old[..., which] = new
    return old
