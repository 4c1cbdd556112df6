"""The XLA loop: one block of cells through a stretch of time, compiled once for every population and every length.

On a CPU a block is always BLOCK_BYTES wide, so that it stays in the cache and a cell's bits do not depend on its
company; on a GPU it is the whole population. Step counts, the refresh interval and the sampling interval enter as
numbers. Sharing a number between cells costs nothing: it is widened inside the block, behind a barrier, so that it
gives the bits an array would give.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.integrators import Integrator, Staggered
from jaxmem.engine.interval import Carry, finish, hop
from jaxmem.engine.measures import Measure
from jaxmem.engine.records import sample
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared
from jaxmem.membrane.state import Status
from jaxmem.rig.protocol import ProtocolOnGrid

BLOCK_BYTES = 2048  # of one variable: half of it is a tenth slower in float32, twice as much is no faster or slower


def block_cells(dtype: Any) -> int:
    """How many cells a block has on a CPU: 512 in float32, 256 in float64."""
    return BLOCK_BYTES // np.dtype(dtype).itemsize


class Clock(eqx.Module):
    """How far and how: ``end`` (step), ``rows`` of samples, the ``first`` (step), ``every`` and ``refresh`` (steps).

    ``dt`` in ms.
    """

    end: Any
    rows: Any
    first: Any
    every: Any
    refresh: Any
    dt: Any


@functools.cache
def compiled(paths: tuple[str, ...], room: int, backend: str, unroll: int = 1, integrator: Integrator = Staggered()):  # noqa: B008
    """A jitted ``(membrane, carry, protocol, measures, clock) -> (carry, samples)`` for one block.

    ``samples`` has room for ``room`` rows and one more, of which the first ``clock.rows`` are meant: one program serves
    every length.
    """

    def advance(
        membrane: Membrane, carry: Carry, protocol: ProtocolOnGrid, measures: dict[str, Measure], clock: Clock
    ) -> tuple[Carry, dict[str, jax.Array]]:
        shape, dtype = carry.state.v.shape, carry.state.v.dtype
        wide = lambda _, x: jax.lax.optimization_barrier(jnp.broadcast_to(jnp.asarray(x, dtype), shape))
        membrane = map_declared(wide, membrane)
        dt = jnp.asarray(clock.dt, dtype)

        def until(target: jax.Array, carry: Carry) -> Carry:
            def one(carry: Carry) -> Carry:
                count = jnp.minimum(clock.refresh - carry.state.step % clock.refresh, target - carry.state.step)
                return hop(membrane, carry, protocol, dt, measures, clock.refresh, count, integrator, unroll)

            return jax.lax.while_loop(lambda c: c.state.step < target, one, carry)

        if not paths:
            return until(clock.end, carry), {}

        def row(i: jax.Array, c: tuple[Carry, dict[str, jax.Array]]) -> tuple[Carry, dict[str, jax.Array]]:
            carry = until(jnp.where(i < clock.rows, clock.first + i * clock.every, clock.end), c[0])
            good = carry.state.status == Status.OK
            found = sample(membrane, carry.state, protocol, dt, paths)
            put = lambda buffer, x: buffer.at[i].set(jnp.where(good & jnp.isfinite(x), x, jnp.nan))
            return carry, jax.tree.map(put, c[1], found)

        # the way from the last sample to the end is one more row: a second copy of the step would double compilation
        samples = {path: jnp.full((room + 1, *shape), jnp.nan, dtype) for path in paths}
        return jax.lax.fori_loop(0, clock.rows + 1, row, (carry, samples))

    # 512-bit code doubles the rate where the processor has it and changes nothing where it has not
    options = {"xla_cpu_prefer_vector_width": 512} if backend == "cpu" else None
    return jax.jit(advance, compiler_options=options)


@functools.cache
def finisher(backend: str):
    """A jitted :func:`jaxmem.engine.interval.finish`."""
    return jax.jit(finish)


def clock(*, end: int, rows: int = 0, first: int = 0, every: int = 1, refresh: int, dt: float) -> Clock:
    """A :class:`Clock` of plain numbers, which enter a compiled program without being part of it."""
    return Clock(np.int32(end), np.int32(rows), np.int32(first), np.int32(every), np.int32(refresh), np.float64(dt))
