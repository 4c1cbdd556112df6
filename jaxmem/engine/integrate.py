"""The pure integrator: to be differentiated, vmapped and jitted by whoever calls it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.integrators import Integrator, Staggered
from jaxmem.engine.interval import begin, differentiable_hop, finish, prepared, refresh_steps
from jaxmem.engine.measures import Measure
from jaxmem.engine.records import expand, sample, variables_of
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State
from jaxmem.rig.protocol import Change, Protocol, check_changes
from jaxmem.rig.stimuli import Stimulus


class Run(NamedTuple):
    """What :func:`integrate` returns: the state to go on from, traces (samples, ..., cells) and the folds of measures."""

    final_state: State
    traces: dict[str, jax.Array]
    folds: dict[str, Any]


def integrate(
    membrane: Membrane,
    state: State,
    stimulus: Stimulus | None = None,
    *,
    changes: Change | Sequence[Change] = (),
    steps: int,
    dt: float = 0.025,
    every: int | None = None,
    record: str | tuple[str, ...] = (),
    measures: Mapping[str, Measure] | None = None,
    refresh: int | None = None,
    first_step: int | None = None,
    checkpoint: bool = True,
    integrator: Integrator | None = None,
) -> Run:
    """``steps`` steps of dt ms from ``state``, pure in all its array arguments.

    Traces hold the variables in ``record`` (paths or groups, as of :class:`jaxmem.Record`) after every ``every`` steps.
    ``refresh`` is the interval, in steps, at which the ions' environment is renewed (by default at most 0.5 ms; in tests of
    order refine it with dt). ``measures`` must be on the grid already. ``checkpoint`` keeps the memory of reverse mode at
    the square root of the length for about twice the work. A cell that fails counts as a constant in every derivative.

    ``first_step`` is ``state.step`` as a number, needed only where the state is traced. Raises ValueError where it is
    missing, or where ``every`` does not divide ``steps``.
    """
    every = steps if every is None else every
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(f"every ({every} steps) must divide steps ({steps}), both at least 1")
    if first_step is None:
        if isinstance(state.step, jax.core.Tracer):
            raise ValueError(
                "the state is traced, so the position in the refresh grid is unknown: pass first_step=int(state.step)"
            )
        first_step = int(state.step)
    refresh = refresh_steps(dt) if refresh is None else refresh
    protocol = Protocol(stimulus, changes)
    check_changes(membrane, protocol.changes)
    on_grid = protocol.on_grid(dt)
    method = Staggered() if integrator is None else integrator
    if isinstance(method, Adaptive):
        raise ValueError(
            "integrate() is to be differentiated, and Adaptive is not: its steps depend on the numbers. Choose an integrator "
            "of fixed steps (Staggered, RungeKutta4, RushLarsen), or simulate() where no derivative is wanted"
        )
    state = prepared(membrane, state, on_grid, method, refresh, dt)
    folded = dict(measures or {})
    wanted = (record,) if isinstance(record, str) else tuple(record)
    paths = tuple(expand(wanted, variables_of(membrane, state, protocol.stimulus))) if wanted else ()
    count = math.gcd(math.gcd(every, refresh), first_step % refresh)
    advance = differentiable_hop(folded, refresh, count, method)
    h = jnp.asarray(dt, state.v.dtype)
    hop = lambda carry: advance(membrane, carry, on_grid, h)
    hop = jax.checkpoint(hop) if checkpoint else hop  # on the way back one hop's insides at a time
    once = lambda carry, _: (hop(carry), None)

    def row(carry: Any, _: Any) -> tuple[Any, dict[str, jax.Array]]:
        carry, _ = scan(once, carry, every // count)
        return carry, sample(membrane, carry.state, on_grid, h, paths)

    scan = _checkpointed_scan if checkpoint else _plain_scan
    carry, traces = scan(row, begin(state, folded), steps // every)
    carry = finish(membrane, carry)
    return Run(carry.state, traces, {name: m.kept(carry.folds[name]) for name, m in folded.items()})


def _plain_scan(body: Callable, carry: Any, length: int) -> tuple[Any, Any]:
    return jax.lax.scan(body, carry, None, length=length)


def _checkpointed_scan(body: Callable, carry: Any, length: int) -> tuple[Any, Any]:
    """A scan in about sqrt(length) pieces whose insides are computed again on the way back."""
    piece = max(1, math.isqrt(length))
    inner = jax.checkpoint(lambda c, _: _plain_scan(body, c, piece))
    carry, outputs = jax.lax.scan(inner, carry, None, length=length // piece)
    outputs = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)
    if rest := length % piece:
        carry, more = jax.checkpoint(lambda c: _plain_scan(body, c, rest))(carry)
        outputs = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), outputs, more)
    return carry, outputs
