"""The loop of the adaptive integrator: a block of cells, each at a time of its own, from one row of samples to the next.

A cell that is ahead of the row, or through, or bad waits for its neighbours; what it does depends on itself alone. Times
are pairs (ms, and what rounding left out), so that hours are known to a fraction of a step in float32 too.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.adaptive_step import Stretch, attempt, first_step, flat, judged, slopes, tolerances
from jaxmem.engine.adaptive_watch import Curve, Time, Watch, Windows, add, between, follow, later, upward
from jaxmem.engine.records import variables_at
from jaxmem.membrane.mechanism import Mechanism
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared, per_cell
from jaxmem.membrane.state import Accounts, Point, Status
from jaxmem.rig.drive import Voltage
from jaxmem.rig.protocol import Protocol

SHORTEST = 1e-12  # ms
LANDED = {False: 1e-3, True: 1e-6}  # part of a step that may lie after a spike; less where spikes have events


class Rule(eqx.Module):
    """The numbers of an :class:`Adaptive`, which enter a program without being part of it; ``first_dt`` 0: none given."""

    rtol: Any
    atol: Any
    max_steps: Any
    first_dt: Any
    longest_dt: Any

    @classmethod
    def of(cls, method: Adaptive, dtype: Any) -> "Rule":
        finest = 80 * float(np.finfo(dtype).eps)
        number = lambda x: np.asarray(x, dtype)
        rtol, atol = (number(max(x, finest)) for x in (method.rtol, method.atol))
        return cls(rtol, atol, np.int32(method.max_steps), number(method.first_dt or 0.0), number(method.longest_dt))


class Lane(eqx.Module):
    """A block of cells on their way; arrays (cells,).

    ``time`` is where each cell is, ``edge`` the index of the edge it makes for, ``h`` the next step (0: a stretch begins),
    ``resume`` the step to go on with when it has landed on a spike. ``curve`` is its last step, for samples.
    """

    time: Time
    edge: jax.Array
    h: jax.Array
    resume: jax.Array
    memory: tuple[jax.Array, jax.Array]
    v: jax.Array
    v_low: jax.Array
    states: dict[str, dict[str, jax.Array]]
    total: Accounts
    total_low: Accounts
    curve: Curve
    watch: Watch
    tries: jax.Array
    status: jax.Array

    @property
    def point(self) -> Point:
        book = {k: x + self.total_low[k] for k, x in self.total.items()}
        return Point(self.v + self.v_low, self.states, book)


def _try(membrane: Membrane, protocol: Protocol, lane: Lane, edges: Time, windows: Windows, rule: Rule) -> Lane:
    """One attempted step of every cell of the block, whether it waits or not."""
    cells = jnp.arange(lane.edge.shape[0])
    pick = lambda x, index: x[cells, index]
    goal = pick(edges[0], lane.edge + 1), pick(edges[1], lane.edge + 1)
    stretch = Stretch(*lane.time, pick(edges[0], lane.edge), goal[0])
    axes = jax.tree.map(lambda mine: -1 if mine else None, (per_cell(membrane), per_cell(protocol)))
    over = lambda function, *rest: jax.vmap(function, in_axes=(*axes, *(0 for _ in rest)))(membrane, protocol, *rest)

    point, jump = lane.point, jnp.zeros_like(lane.v)
    first = stretch.at(jnp.zeros_like(lane.v))
    drive = protocol.stimulus.at(first, point.v)
    if isinstance(drive, Voltage):  # what the command jumps by, the electrode brings to the capacitor
        jump = jnp.asarray(drive.start, point.v.dtype) - point.v
        book = point.book | {"electrode": point.book["electrode"] + membrane.capacitance * jump}
        point = Point(point.v + jump, point.states, book)

    weight = over(lambda m, p, x: flat(tolerances(m, x, rule.rtol, rule.atol)), point)
    slope = over(lambda m, p, x, t: flat(slopes(m, p, x, t)), point, first)
    begin = jax.vmap(first_step, in_axes=(0, 0, None))(slope, weight, rule.rtol)
    begin = jnp.where(rule.first_dt > 0, rule.first_dt, begin)
    left = between(lane.time, goal)
    h = jnp.minimum(jnp.where(lane.h > 0, lane.h, begin), rule.longest_dt)
    ends = h >= left * (1 - 1e-6)
    h = jnp.where(ends, left, h)
    tried = over(attempt, point, stretch, h, weight)
    keep, factor, memory = jax.vmap(judged)(tried.error, lane.memory)

    # what the step would bring
    rows = list(jnp.moveaxis(tried.change, -1, 0))
    change = jax.tree.unflatten(jax.tree.structure(point), rows)
    v, v_low = add(lane.v, lane.v_low, change.v + jump)
    states = jax.tree.map(lambda x, d: x + d, lane.states, change.states)
    moved = change.book | {"electrode": change.book["electrode"] + membrane.capacitance * jump}
    total, total_low = {}, {}
    for k, x in lane.total.items():
        total[k], total_low[k] = add(x, lane.total_low[k], moved[k])
    start = jnp.stack(jax.tree.leaves(point), -1)
    curve = Curve(lane.time, h, start, tried.change, tried.k0, tried.k1)

    # a spike cuts the step
    spiked = keep & (point.v < 0) & (v >= 0)
    place = upward(curve, spiked)
    has_events = any(type(m).events is not Mechanism.events for m in membrane.mechanisms.values())
    landed = LANDED[has_events]
    cut = spiked & (place < 1 - landed) & (h * landed > 1e-3 * SHORTEST)
    keep, spiked = keep & ~cut, spiked & ~cut
    states = {name: membrane.mechanisms[name].events(spiked, states[name]) for name in membrane.order}

    enough = [membrane.amount(*p, {k: total[k] + total_low[k] for k in total}) >= 0 for p in membrane.pools()]
    empty = keep & ~functools.reduce(jnp.logical_and, enough, jnp.ones_like(keep))
    lost = ~jnp.isfinite(sum(jax.tree.leaves(point)))
    stuck = ~keep & ~cut & (h * factor < SHORTEST)
    low = [membrane.amount(*p, point.book) < 1e-6 * getattr(membrane.species[p[0]], p[1]) for p in membrane.pools()]
    drained = functools.reduce(jnp.logical_or, low, jnp.zeros_like(keep))
    tries = lane.tries + 1
    status = jnp.where(
        stuck | (tries >= rule.max_steps),
        jnp.where(drained, int(Status.EMPTY_POOL), int(Status.NO_STEP)),
        int(Status.OK),
    )
    status = jnp.where(empty, int(Status.EMPTY_POOL), jnp.where(lost, int(Status.NOT_FINITE), status))
    keep &= (status == Status.OK) | (tries >= rule.max_steps)

    through = keep & ends
    time = jax.tree.map(lambda a, b: jnp.where(ends, a, b), goal, later(lane.time, h))
    grown = jnp.maximum(h * factor, jnp.where(keep, lane.resume, 0))
    # a step cut short by an edge says little of the next stretch: that begins anew
    then = jnp.where(cut, h * (place + 0.5 * landed), jnp.where(through, 0.0, grown))
    fresh = jax.tree.map(jnp.ones_like, memory)
    memory = jax.tree.map(
        lambda x, old, new: jnp.where(cut, old, jnp.where(through, new, x)), memory, lane.memory, fresh
    )
    watch = follow(lane.watch, windows, curve, place, spiked)
    put = lambda new, old: jax.tree.map(lambda a, b: jnp.where(_like(keep, a), a, b), new, old)
    after = put(
        (time, v, v_low, states, total, total_low, curve, watch),
        (lane.time, lane.v, lane.v_low, lane.states, lane.total, lane.total_low, lane.curve, lane.watch),
    )
    resume = jnp.where(cut, jnp.maximum(lane.resume, h), jnp.where(keep, 0.0, lane.resume))
    return Lane(
        time=after[0], edge=jnp.where(through, lane.edge + 1, lane.edge), h=then, resume=resume, memory=memory,
        v=after[1], v_low=after[2], states=after[3], total=after[4], total_low=after[5], curve=after[6], watch=after[7],
        tries=tries, status=status.astype(lane.status.dtype),
    )  # fmt: skip


def _like(keep: jax.Array, x: jax.Array) -> jax.Array:
    """The mask in the shape of x, whose first axis is the cells."""
    return keep.reshape(keep.shape + (1,) * (x.ndim - keep.ndim))


@functools.cache
def compiled(paths: tuple[str, ...]):
    """A jitted ``(membrane, protocol, lane, edges, windows, rule, rows, count, row, tries, samples) -> (lane, row, samples)``.

    ``rows`` are the times of ``count`` rows of samples, with room for more; those from ``row`` on are still to
    come. It returns after ``tries`` attempted steps, finished or not.
    """

    def advance(
        membrane: Membrane, protocol: Protocol, lane: Lane, edges: Time, windows: Windows, rule: Rule, rows: Time,
        count: Any, row: Any, tries: Any, samples: dict[str, jax.Array],
    ) -> tuple[Lane, jax.Array, dict[str, jax.Array]]:  # fmt: skip
        like = lane.v
        wide = lambda _, x: jax.lax.optimization_barrier(jnp.broadcast_to(jnp.asarray(x, like.dtype), like.shape))
        membrane, protocol = map_declared(wide, membrane), map_declared(wide, protocol)

        def due(lane: Lane, row: jax.Array) -> jax.Array:
            return (lane.status == Status.OK) & (between(lane.time, (rows[0][row], rows[1][row])) > 0)

        def one(c: tuple) -> tuple:
            lane, row, left, samples = c
            waits = due(lane, row)

            def step() -> tuple:
                new = _try(membrane, protocol, lane, edges, windows, rule)
                return jax.tree.map(lambda a, b: jnp.where(_like(waits, a), a, b), new, lane), row, left - 1, samples

            def look() -> tuple:
                here = (rows[0][row], rows[1][row])
                found = _sample(membrane, protocol, lane, here, paths)
                good = lane.status == Status.OK
                keep = lambda buffer, x: buffer.at[row].set(jnp.where(good & jnp.isfinite(x), x, jnp.nan))
                return lane, row + 1, left, jax.tree.map(keep, samples, found)

            return jax.lax.cond(jnp.any(waits), step, look)

        start = (lane, jnp.asarray(row, jnp.int32), jnp.asarray(tries, jnp.int32), samples)
        lane, row, _, samples = jax.lax.while_loop(lambda c: (c[1] < count) & (c[2] > 0), one, start)
        return lane, row, samples

    return jax.jit(advance)


def _sample(
    membrane: Membrane, protocol: Protocol, lane: Lane, time: Time, paths: tuple[str, ...]
) -> dict[str, jax.Array]:
    """The variables at a time within the last step of each cell."""
    if not paths:
        return {}
    like = lane.point
    values = jnp.moveaxis(lane.curve.at(lane.curve.place(time)), -1, 0)
    point = jax.tree.unflatten(jax.tree.structure(like), list(values))
    t = jnp.broadcast_to(time[0] + time[1], lane.v.shape)
    there = protocol.at(membrane, t)
    found = {"v": point.v}
    if any(p not in ("v", "stimulus") for p in paths):
        found |= variables_at(there, point)
    if "stimulus" in paths:
        found["stimulus"] = slopes(membrane, protocol, point, t).book["electrode"]
    return {path: found[path] for path in paths}
