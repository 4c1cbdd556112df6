"""Linear equations over one step: a relaxing exponential as a rational function, and pairs of pools that exchange."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.membrane.membrane import Edge


def relaxation(z: ArrayLike, signed: bool = False) -> tuple[jax.Array, jax.Array]:
    """``(1 - exp(-z))/z``, the mean of a relaxing exponential over a step, and its lag ``(1 - mean)/z``.

    From the Pade [2/3] form of exp(-z): L-stable, always between 0 and 1, within 1e-4 mV of the exact exponential at dt
    0.025 ms. ``signed`` says that z may be negative (a negative slope conductance): there the form is reflected, by
    mean(-z) = mean(z) exp(z), because its denominator has a zero at z = -3.64; it is accurate to z of about -1 and stays
    positive and finite beyond.
    """
    top, low, lag = 60 + z * (6 + z), 60 + z * (36 + z * (9 + z)), 30 + z * (8 + z)
    if signed:
        back = z < 0
        top = 60 + z * (z + jnp.where(back, -6.0, 6.0))
        low = 60 + z * jnp.where(back, 24 + 3 * z, 36 + z * (9 + z))
        lag = 30 + z * jnp.where(back, 2.0, 8 + z)
    inverse = 1 / low
    return inverse * top, inverse * lag


def exchange(
    x: dict[str, jax.Array], edges: list[Edge], dt: ArrayLike, baths: tuple[str, ...] = ()
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Pairs exchange exactly, one pair after the other and back again: second order, sums kept, never negative.

    ``edges``: ((a, b), (forward, backward)) in 1/ms. Where b is one of the ``baths``, backward is a gain of a per time,
    whatever the bath holds. Returns what each holds afterwards and what each gained: summed apart, because in float32 the
    difference of two contents is only as exact as the contents, not as what moved.
    """
    sweep = [(e, 0.5) for e in edges[:-1]] + [(e, 1.0) for e in edges[-1:]] + [(e, 0.5) for e in edges[-2::-1]]
    gained = {name: jnp.zeros_like(amount) for name, amount in x.items()}
    for ((a, b), (forward, backward)), part in sweep:
        h = part * dt
        rate, back = (forward, backward) if b in baths else (forward + backward, backward * x[b])
        moved = h * relaxation(h * rate)[0] * (forward * x[a] - back)
        x = {**x, a: x[a] - moved, b: x[b] + moved}
        gained = {**gained, a: gained[a] - moved, b: gained[b] + moved}
    return x, gained
