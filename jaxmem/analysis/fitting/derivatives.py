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


FORWARD, REVERSE = (1.5, 0.65), (11.0, 1.5)


def derivative_mode(parameters: int, outputs: int) -> Mode:
    """x"""
    forward, reverse = FORWARD[0] + FORWARD[1] * parameters, REVERSE[0] + REVERSE[1] * outputs
    return "forward" if forward <= reverse else "reverse"
