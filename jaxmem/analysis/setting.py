"""What the solvers share: float64 whatever the caller's precision, one axis of cells, cells that must not spoil others."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.unknowns import structure_of
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared, map_declared, per_cell

Tree = TypeVar("Tree")


def in_float64(function: Callable) -> Callable:
    """Run in float64 without touching the caller's configuration."""

    @functools.wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wide


def widened(membrane: Membrane) -> Membrane:
    return map_declared(lambda _, x: np.asarray(x, np.float64), membrane)


def widest(x: Any) -> jax.Array:
    """In the widest precision there is: stability is a matter of small differences."""
    return jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.result_type(float)))


def checked(membrane: Membrane) -> np.ndarray:
    """Which cells have finite parameters only. Raises MembraneError for every other thing that is wrong."""
    bad = np.zeros((), bool)
    sound = {}
    for path, value, _ in declared(membrane):
        x = np.asarray(value)
        wrong = ~np.isfinite(x)
        if x.ndim and wrong.any() and not wrong.all():
            bad = bad | wrong
            sound[path] = np.where(wrong, x[~wrong].flat[0], x)
    check(map_declared(lambda path, x: sound.get(path, x), membrane) if sound else membrane)
    return ~bad


def flattened(membrane: Membrane, state: Any) -> tuple[Membrane, Any, tuple[int, ...]]:
    """The same with one axis of cells, and the shape that it was; numbers that all share stay scalars."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in jax.tree.leaves((membrane, state))))
    if len(shape) <= 1:
        return membrane, state, shape
    flat = lambda x: np.broadcast_to(x, shape).reshape(-1) if np.ndim(x) else x
    return jax.tree.map(flat, membrane), jax.tree.map(flat, state), shape


def healed(tree: Tree, good: jax.Array, everywhere: bool = False) -> Tree:
    """The same with a good cell's numbers in place of the others', which so have no derivative and cannot spoil it."""
    if not good.ndim:
        return tree
    lane = good.reshape(-1, good.shape[-1]).all(0)
    one = jnp.argmax(lane)
    mine = jax.tree.map(lambda x: True, tree) if everywhere else per_cell(tree)
    swap = lambda x, own: jnp.where(lane, x, jnp.asarray(x)[..., one][..., None]) if own else x
    return jax.tree.map(swap, tree, mine)


def moving_ions(membrane: Membrane) -> tuple[list[str], bool]:
    """The charged species with a dynamic concentration that flow, and whether every ion that flows is among them."""
    flows = [k for k in structure_of(membrane).flows if membrane.species[k].valence]
    dynamic = [k for k, s in membrane.species.items() if s.dynamic and s.valence]
    return [k for k in dynamic if k in flows], all(k in dynamic for k in flows)
