"""A refresh interval: steps in a fixed environment, then the books are closed and the cells looked over.

Intervals end where the global step is a multiple of ``refresh``, which depends on the model and dt alone, so that
sampling, chunks and cuts change no result.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.engine.fluctuations import Draws
from jaxmem.engine.integrators import (
    Held,
    Integrator,
    Moving,
    advance_states,
    touches,
    transferred,
)
from jaxmem.engine.measures import Measure, StepView
from jaxmem.engine.program import compile_step
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import per_cell
from jaxmem.membrane.state import Accounts, Point, Snapshot, State, Status, state_per_cell
from jaxmem.rig.protocol import ProtocolOnGrid

LONGEST_REFRESH = 0.5  # ms: no loss at radius >= 2 um and 90 Hz; smaller pools are declared every_step


class Carry(eqx.Module):
    """A state and the measures being folded beside it, with their values at the interval's start."""

    state: State
    folds: dict[str, Any]
    folds_start: dict[str, Any]


def refresh_steps(dt: float) -> int:
    """Steps between refreshes of the ions' environment: at most half a millisecond, at least one step."""
    return max(1, int(LONGEST_REFRESH / dt * (1 + 1e-9)))


def begin(state: State, measures: dict[str, Measure]) -> Carry:
    folds = {name: measure.init(state.v) for name, measure in measures.items()}
    return Carry(state, folds, folds)


def collocated(membrane: Membrane, state: State) -> Point:
    """All parts of the state at the time of v, to second order: for samples and for other integrators."""
    env, draws = membrane.environment(state.book), Draws(jnp.asarray(state.step), state.cell, state.lag, None)
    return Point(state.v, advance_states(membrane, state.v, state.states, env, state.lag, draws), state.book)


def prepared(
    membrane: Membrane, state: State, protocol: ProtocolOnGrid, integrator: Integrator, refresh: int, dt: ArrayLike
) -> State:
    """The state as this integrator and stimulus want it: gates collocated where they are not to lag, memory begun.

    In the middle of an interval, transfers made so far enter the book or leave it, as the integrator makes them along the
    way or at the interval's end: without that a hand-over would lose them or count them twice.
    """
    rig = protocol.driver.begin(jnp.asarray(state.v), state.cell)
    if set(rig) != set(state.rig):
        state = eqx.tree_at(lambda s: (s.rig, s.start.rig), state, (rig, rig))
    if state.exchanged != integrator.exchanges:
        passed = jnp.asarray((state.step % refresh) * dt, state.v.dtype)
        pending, sign = dict(state.pending), 1 if integrator.exchanges else -1
        for account, moved in _slow_transfers(membrane, state, pending, passed).items():
            pending[account] = pending[account] + sign * moved
        state = State(**{**vars(state), "pending": pending, "exchanged": integrator.exchanges})
    if integrator.lagging:
        return state
    there = protocol.at(membrane, state.step, state.v)
    return eqx.tree_at(lambda s: (s.states, s.lag), state, (collocated(there, state).states, jnp.zeros_like(state.lag)))


def _slow_transfers(membrane: Membrane, s: State, pending: Accounts, length: ArrayLike) -> Accounts:
    """What transfers of the pools that are refreshed at intervals brought since the interval began."""
    base = s.book_at_start
    env = membrane.environment({k: base[k] + 0.5 * pending[k] for k in base})
    edges = membrane.transfers(0.5 * (s.v + s.start.v), s.states, env)
    slow = [e for e in edges if not touches(e, membrane.every_step)]
    return transferred(membrane, slow, base, pending, length)


def hop(
    membrane: Membrane,
    carry: Carry,
    protocol: ProtocolOnGrid,
    dt: jax.Array,
    measures: dict[str, Measure],
    refresh: Any,
    count: Any,
    integrator: Integrator,
    unroll: int = 1,
) -> Carry:
    """``count`` steps that do not cross an interval's end, and the closing of the books where they reach it."""
    step = jnp.asarray(carry.state.step)
    membrane = protocol.during(membrane, step - step % refresh, refresh, carry.state.v)
    carry = _run_steps(membrane, carry, protocol, dt, measures, count, integrator, unroll)
    close = lambda c: _close_books(membrane, c, refresh * dt, integrator)
    if isinstance(count, int) and count == refresh:
        return close(carry)
    return jax.lax.cond(carry.state.step % refresh == 0, close, lambda c: c, carry)


def _run_steps(
    membrane: Membrane,
    carry: Carry,
    protocol: ProtocolOnGrid,
    dt: jax.Array,
    measures: dict[str, Measure],
    count: Any,
    integrator: Integrator,
    unroll: int,
) -> Carry:
    s = carry.state
    base = s.book_at_start
    middle = membrane.environment({k: base[k] + 0.5 * s.trend[k] for k in base})
    held = Held(membrane, base, middle, protocol.driver, dt, s.cell)

    def step(held: Held, changing: tuple[Moving, dict[str, Any], jax.Array]) -> tuple[Moving, dict[str, Any]]:
        moving, folds, index = changing
        after, happened = integrator.step(held, moving, index)
        view = StepView(moving.v, after.v, moving.v_low, after.v_low, happened.spiked, index, held.dt, happened.flow)
        return after, {name: measures[name].update(fold, view) for name, fold in folds.items()}

    moving = Moving(s.v, s.v_low, s.states, s.pending, s.last, s.lag, s.rig)
    start = (moving, carry.folds, jnp.asarray(s.step))
    compiled = compile_step(step, held, start, barriers=unroll == 1)
    moving, folds = _repeat(lambda j, c: compiled((*c, s.step + j)), count, unroll, (moving, carry.folds))
    changed = lambda s: (s.v, s.v_low, s.states, s.pending, s.last, s.lag, s.rig, s.step)
    now = (moving.v, moving.v_low, moving.states, moving.pending, moving.last, moving.lag, moving.rig, s.step + count)
    return Carry(eqx.tree_at(changed, s, now), folds, carry.folds_start)


def _repeat(body: Any, count: Any, unroll: int, start: Any) -> Any:
    """``body`` ``count`` times, ``unroll`` of them to an iteration of the loop (a GPU launches kernels per iteration)."""
    if unroll == 1:
        return jax.lax.fori_loop(0, count, body, start)

    def several(i: Any, c: Any) -> Any:
        for j in range(unroll):
            c = body(i * unroll + j, c)
        return c

    whole = count // unroll
    return jax.lax.fori_loop(whole * unroll, count, body, jax.lax.fori_loop(0, whole, several, start))


def _close_books(membrane: Membrane, carry: Carry, length: jax.Array, integrator: Integrator) -> Carry:
    """Transfers of the pools that are refreshed at intervals, compensated totals, and quarantine.

    A cell that is not finite or has less than nothing of an ion goes back to the interval's start and stays there.
    """
    s, pending = carry.state, dict(carry.state.pending)
    exchanged = {} if integrator.exchanges else _slow_transfers(membrane, s, pending, length)
    for account, moved in exchanged.items():
        pending[account] = pending[account] + moved  # a transfer of every step may have been here before
    total, low = {}, {}
    for k, moved in pending.items():
        change = moved + s.total_low[k]
        total[k] = s.total[k] + change
        low[k] = change - (total[k] - s.total[k])
    book = {k: total[k] + low[k] for k in total}

    good, status, failed_at = _verdict(membrane, s, pending, book)
    new = (Snapshot(s.v, s.v_low, s.states, s.last, s.rig), carry.folds, total, low, pending)
    old = (s.start, carry.folds_start, s.total, s.total_low, s.trend)
    keep = lambda: jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
    start, folds, total, low, trend = jax.lax.cond(jnp.all(good), lambda: new, keep)  # mostly nothing to do
    none = {k: jnp.zeros_like(x) for k, x in pending.items()}
    state = State(
        v=start.v, v_low=start.v_low, states=start.states, pending=none, total=total, total_low=low, trend=trend,
        last=start.last, start=start, status=status, failed_at=failed_at, step=s.step, lag=s.lag,
        cell=s.cell, rig=start.rig, exchanged=s.exchanged,
    )  # fmt: skip
    return Carry(state, folds, folds)


def _verdict(membrane: Membrane, s: State, pending: Accounts, book: Accounts) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Which cells are good (finite everywhere, no amount below zero), and status and failed_at of all."""
    finite = jnp.isfinite(sum([s.v, *pending.values(), *jax.tree.leaves(s.states)]))
    enough = lambda accounts: [membrane.amount(*p, accounts) >= 0 for p in membrane.pools()]
    was_ok = s.status == Status.OK
    good = functools.reduce(jnp.logical_and, enough(book), was_ok & finite)

    def found() -> jax.Array:
        # an ion that runs out makes the voltage NaN before its amount is seen to be negative: look where it was heading
        base = s.book_at_start
        ahead = enough({k: base[k] + s.trend[k] for k in base})
        fine = functools.reduce(
            jnp.logical_and, [jnp.where(finite, a, b) for a, b in zip(enough(book), ahead, strict=True)], was_ok
        )
        reason = jnp.where(fine, jnp.where(finite, int(Status.OK), int(Status.NOT_FINITE)), int(Status.EMPTY_POOL))
        return jnp.where(was_ok, reason, s.status).astype(s.status.dtype)

    status = jax.lax.cond(jnp.all(good), lambda: s.status, found)  # mostly nothing to do
    return good, status, jnp.where(was_ok & ~good, s.step, s.failed_at)


def finish(membrane: Membrane, carry: Carry) -> Carry:
    """At the end of a run: an unfinished interval is checked, and failed cells stand where it began.

    The books of good cells are not closed (the run may go on), so a continued run keeps its bits.
    """
    s = carry.state
    good, status, failed_at = _verdict(membrane, s, s.pending, s.book)
    put = lambda new, old: jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
    snapshot = put(Snapshot(s.v, s.v_low, s.states, s.last, s.rig), s.start)
    state = State(
        v=snapshot.v, v_low=snapshot.v_low, states=snapshot.states, last=snapshot.last, start=s.start,
        pending=put(s.pending, {k: jnp.zeros_like(x) for k, x in s.pending.items()}),
        total=s.total, total_low=s.total_low, trend=s.trend,
        status=status, failed_at=failed_at, step=s.step, lag=s.lag, cell=s.cell, rig=snapshot.rig,
        exchanged=s.exchanged,
    )  # fmt: skip
    return Carry(state, put(carry.folds, carry.folds_start), carry.folds_start)


def differentiable_hop(measures: dict[str, Measure], refresh: int, count: int, integrator: Integrator):
    """:func:`hop` whose derivative treats bad cells as constants.

    A bad cell's tangents are set to zero, and while they are computed it borrows a good cell's numbers: an infinite value
    times a zero tangent would be NaN and reach every shared parameter.
    """
    plain = lambda membrane, carry, protocol, dt: hop(
        membrane, carry, protocol, dt, measures, refresh, count, integrator
    )
    result = jax.custom_jvp(plain)

    @result.defjvp
    def rule(primals: tuple, tangents: tuple) -> tuple:
        out = plain(*primals)
        good = (out.state.status == Status.OK) & jnp.isfinite(sum([out.state.v, *out.state.pending.values()]))
        axes = (per_cell(primals[0]), _carry_axes(primals[1]), per_cell(primals[2]), False)
        one = jnp.argmax(good.reshape(-1, good.shape[-1]).all(0)) if good.ndim else 0
        lane = good.reshape(-1, good.shape[-1]).all(0) if good.ndim else good
        heal = lambda x, mine: jnp.where(lane, x, x[..., one][..., None]) if mine else x
        mute = lambda t, mine: t if not mine or t.dtype == jax.dtypes.float0 else jnp.where(lane, t, jnp.zeros_like(t))
        if good.ndim:
            safe, quiet = jax.tree.map(heal, primals, axes), jax.tree.map(mute, tangents, axes)
        else:
            safe, quiet = primals, tangents
        slopes = lambda: jax.jvp(plain, safe, quiet)[1]
        none = lambda: jax.tree.map(lambda t: jnp.zeros(t.shape, t.dtype), jax.eval_shape(slopes))
        found = jax.lax.cond(jnp.any(lane), slopes, none)
        keep = _carry_axes(out)
        if not good.ndim:
            keep = jax.tree.map(lambda _: True, keep)
        return out, jax.tree.map(mute, found, keep)

    return result


def _carry_axes(carry: Carry) -> Carry:
    some = lambda tree: jax.tree.map(lambda x: np.ndim(x) > 0, tree)
    return Carry(state_per_cell(carry.state), some(carry.folds), some(carry.folds_start))


def as_dtype(dt: ArrayLike, state: State) -> jax.Array:
    return jnp.asarray(dt, state.v.dtype)
