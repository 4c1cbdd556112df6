"""What a stimulus does in one step: a current, or a voltage that is imposed.

A stimulus on the grid of a run is a :class:`Driver`. In each step it answers with a :class:`Current` (linear in v, so that
current injection, a clamp through a series resistance and a conductance clamp are one thing) or with a :class:`Voltage`
(an ideal clamp, whose current is what the membrane then needs). What it remembers from step to step, the last value of a
coloured noise for instance, is part of the state, so that a continued run keeps its bits.
"""

import abc

import equinox as eqx
import jax
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current

Memory = dict[str, jax.Array]


class Moment(eqx.Module):
    """A step from ``step*dt`` to ``(step + 1)*dt`` ms, of the cells with these indices.

    ``cell`` is the index in the whole population, wherever the cell is computed: random draws are keyed by it.
    """

    step: jax.Array
    dt: jax.Array
    cell: jax.Array


class Voltage(eqx.Module):
    """What an ideal clamp imposes (mV): v right after the step began, its mean over the step, and v at its end."""

    start: ArrayLike
    mean: ArrayLike
    end: ArrayLike


Drive = Current | Voltage


class Driver(eqx.Module):
    """A stimulus on the grid: base of what ``Stimulus.on_grid`` returns."""

    def begin(self, v: jax.Array, cell: jax.Array) -> Memory:
        """What it remembers when a run begins: name -> (..., cells)."""
        return {}

    @abc.abstractmethod
    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Drive, Memory]:
        """The mean over this step, as a current (positive depolarises) linear in v or an imposed voltage; and the memory.

        A current is the charge to be delivered over dt, so that edges within a step deliver exactly their share.
        """

    def readings(self, moment: Moment, v: jax.Array, memory: Memory, injected: ArrayLike) -> dict[str, ArrayLike]:
        """What its instrument shows at the beginning of this step, by the names of ``Stimulus.readings``.

        ``injected`` is the current into the cell (uA/cm^2).
        """
        return {}
