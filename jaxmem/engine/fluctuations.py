"""Channel noise: what moves between states by chance because channels are counted."""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.engine.relaxation import relaxation
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import States
from jaxmem.membrane.membrane import Membrane
from jaxmem.rig.random import ROUNDS, standard_normal, threefry2x32

PURPOSE = 2**31  # keeps channels' streams apart from those of stimuli
TINY = 1e-30  # a square root has no slope at 0


class Draws:
    """The random numbers of one step, which comes in two parts: until the time of v (``first`` ms), and after it.

    Each exchange that asks gets a stream of its own, in the order of the mechanisms. The parts have numbers of their own,
    so that a sample, which is taken between them, lies on the path that the run takes. A part that is None is not drawn.
    """

    def __init__(self, step: jax.Array, cell: jax.Array, first: ArrayLike | None, second: ArrayLike | None):
        self.step, self.cell, self.first, self.second = step, cell, first, second
        self.streams = itertools.count(PURPOSE)

    def fluctuation(self, flow: jax.Array, rate: ArrayLike, channels: ArrayLike, seed: ArrayLike) -> jax.Array:
        """What moves by chance: of variance ``flow/channels`` per ms, relaxing meanwhile at ``rate``.

        The variance over each part is that of an Ornstein-Uhlenbeck process, so the stationary one is right at any dt.
        """
        words = threefry2x32((seed, next(self.streams)), (self.cell, self.step), ROUNDS)
        moved = jnp.zeros_like(flow)
        for h, word in zip((self.first, self.second), words, strict=True):
            if h is None:
                continue
            variance = jnp.maximum(flow / channels * h * relaxation(2 * h * rate)[0], TINY)
            moved = moved * (1 - h * rate * relaxation(h * rate)[0]) + standard_normal(
                word, flow.dtype, jnp.sqrt(0.5 / variance)
            )
        return moved


def refuse_fluctuations(membrane: Membrane, v: jax.Array, states: dict[str, States], env: Environment) -> None:
    """ValueError where channels are counted: their noise is defined by steps of dt that integrators of this kind lack."""
    for name in membrane.order:
        for rates in membrane.mechanisms[name].kinetics(v, states[name], env).values():
            if getattr(rates, "channels", None) is not None:
                raise ValueError(
                    f"{name} has a number of channels, whose noise only Staggered and RushLarsen know; choose one of them, "
                    f"or leave {name}.channels out"
                )
