"""Populations of any size through one compiled program: blocks of one width, a thread per core.

A block's working set stays in cache, and a cell whose loop takes long delays its block only. A cell's numbers do not
depend on the population: the block's width is the same for one cell and for a million.
"""

import concurrent.futures
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.cores import cores

WIDTH, BLOCKS = 512, 16  # cells of a block, and blocks of a call
WIDE = 65536  # cells of a call on a GPU


def in_blocks(function: Callable, tree: Any, cells: int, *static: Any, width: int = WIDTH) -> Any:
    """``function(tree, *static)`` for a tree whose leaves have a last axis of ``cells``, or are shared scalars.

    Elementwise in cells, in float64 where the leaves are, without touching the caller's configuration. NumPy arrays
    come back. ``static`` arguments are hashable; ``function`` is a plain function of a module, so that the program is
    found again. ``width``: of a block, where a few cells take so long that empty places in it would be felt.
    """
    cpu = jax.default_backend() == "cpu"
    width, blocks = (width, BLOCKS) if cpu else (WIDE, 1)  # one program: another would round otherwise
    leaves, structure = jax.tree.flatten(tree)
    leaves = [np.asarray(x) for x in leaves]
    mine = tuple(x.ndim > 0 for x in leaves)

    def part(first: int) -> Any:
        size = min(width * blocks, cells - first)
        more = width * blocks - size
        part_of = lambda x: x[..., first : first + size]
        pad = lambda x: np.pad(part_of(x), [(0, 0)] * (x.ndim - 1) + [(0, more)], mode="edge") if more else part_of(x)
        cut = lambda x: np.moveaxis(pad(x).reshape((*x.shape[:-1], blocks, width)), -2, 0)
        given = [cut(x) if m else x for x, m in zip(leaves, mine, strict=True)]
        count = np.int32(-(-size // width))
        with jax.enable_x64(True):  # a setting of the thread
            out = _program(given, count, function, structure, mine, static)
        joined = lambda x: np.moveaxis(np.asarray(x), 0, -2).reshape((*x.shape[1:-1], -1))[..., :size]
        return jax.tree.map(joined, out)

    starts = range(0, cells, width * blocks)
    if len(starts) == 1:
        return part(0)
    with concurrent.futures.ThreadPoolExecutor(cores() if cpu else 1) as pool:
        done = list(pool.map(part, starts))
    return jax.tree.map(lambda *x: np.concatenate(x, -1), *done)


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _program(given: list, count: jax.Array, function: Callable, structure: Any, mine: tuple, static: tuple) -> Any:
    """The first ``count`` of the blocks, one after the other; the others come back as zeros."""

    def one(index: jax.Array) -> Any:
        leaves = [x[index] if m else x for x, m in zip(given, mine, strict=True)]
        return function(jax.tree.unflatten(structure, leaves), *static)

    blocks = next((x.shape[0] for x, m in zip(given, mine, strict=True) if m), 1)
    if blocks == 1:
        return jax.tree.map(lambda x: x[None], one(jnp.int32(0)))
    shapes = jax.eval_shape(one, jnp.int32(0))
    nothing = jax.tree.map(lambda s: jnp.zeros((blocks, *s.shape), s.dtype), shapes)
    put = lambda i, out: jax.tree.map(lambda all_, x: all_.at[i].set(x), out, one(i))
    return jax.lax.fori_loop(0, count, put, nothing)
