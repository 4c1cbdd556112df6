"""Value and Jacobian of what is elementwise in cells: forward or reverse, whichever is cheaper."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

Mode = Literal["forward", "reverse"]


def jacobian_columns(
    function: Callable[[jax.Array], jax.Array], x: jax.Array, mode: Mode
) -> tuple[jax.Array, jax.Array]:
    """``(value, jacobian)`` of a function from (parameters, *cells) to (outputs, *cells) that is elementwise in cells.

    The Jacobian is (outputs, parameters, *cells): of each cell's outputs over its own parameters. "forward" pushes all
    parameters' tangents through one run of the function, in which what does not depend on them is computed once;
    "reverse" pulls all outputs' cotangents back through one. One tangent or cotangent serves all cells, since none sees
    another.
    """

    def units(n: int, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
        eye = jnp.eye(n, dtype=dtype).reshape(n, n, *[1] * len(shape))
        return jnp.broadcast_to(eye, (n, n, *shape))

    if mode == "forward":
        push = lambda tangent: jax.jvp(function, (x,), (tangent,))
        value, columns = jax.vmap(push, out_axes=(None, 0))(units(x.shape[0], x.shape[1:], x.dtype))
        return value, jnp.moveaxis(columns, 0, 1)
    if mode != "reverse":
        raise ValueError(f"a derivative is taken 'forward' or 'reverse', not {mode!r}")
    value, pull = jax.vjp(function, x)
    return value, jax.vmap(pull)(units(value.shape[0], value.shape[1:], value.dtype))[0]


# Cost over that of the simulation: of the pass itself, and of each tangent or cotangent it takes along.
FORWARD, REVERSE = (2.1, 0.7), (12.5, 0.7)


def derivative_mode(parameters: int, outputs: int) -> Mode:
    """The cheaper way to the Jacobian of a simulation with so many free parameters and outputs (samples and measures).

    Measured, processor time over that of the simulation alone (1000 cells, 4000 steps, float64, v sampled every 5 ms, two
    cores of an AMD Zen 5, jax 0.10):

    ===================  =====================  =======================
    ..                   forward, parameters    reverse, outputs
                         1     3     8          1      4      16
    hodgkin_huxley_1952  2.3   3.9   6.7        14.6   15.7   25.0
    pumped_neuron        3.3   4.7   8.7        12.1   14.2   (not run)
    ===================  =====================  =======================

    The simulation runs twice and each parameter costs 0.7 of it; going back costs ten simulations more (checkpoints
    are computed again, twice) and 0.7 for each output. So forward wins until there are about 15 more parameters than
    outputs. Forward mode also compiles several times faster and keeps nothing of the steps behind it.
    """
    forward, reverse = (fixed + each * n for (fixed, each), n in ((FORWARD, parameters), (REVERSE, outputs)))
    return "forward" if forward <= reverse else "reverse"
