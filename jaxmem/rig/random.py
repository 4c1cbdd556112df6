"""Random numbers that depend on a key and a counter alone: the same in any block, after any cut, on any device.

Threefry-2x32 with 20 rounds: J. K. Salmon, M. A. Moraes, R. O. Dror & D. E. Shaw (2011), Parallel random numbers: as easy
as 1, 2, 3, SC'11, doi:10.1145/2063384.2063405. Plain 32-bit arithmetic, elementwise over cells, without x64.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # Salmon et al., of four rounds each, in turns
PARITY = 0x1BD11BDA
LARGEST_SEED = 2**64


def threefry2x32(
    key: tuple[ArrayLike, ArrayLike], counter: tuple[ArrayLike, ArrayLike], rounds: int = 20
) -> tuple[jax.Array, jax.Array]:
    """Two words of 32 random bits from two words of key and two of counter."""
    word = lambda x: jnp.asarray(np.uint32(x) if isinstance(x, int) else x).astype(jnp.uint32)
    a, b = word(key[0]), word(key[1])
    keys = (a, b, a ^ b ^ np.uint32(PARITY))
    x, y = word(counter[0]) + a, word(counter[1]) + b
    for i in range(rounds):
        turn = ROTATIONS[i // 4 % 2][i % 4]
        x = x + y
        y = (y << np.uint32(turn)) | (y >> np.uint32(32 - turn))
        y = y ^ x
        if i % 4 == 3:
            n = i // 4 + 1
            x, y = x + keys[n % 3], y + keys[(n + 1) % 3] + np.uint32(n)
    return x, y


def key_of(seed: int, purpose: int = 0) -> np.ndarray:
    """The key of a seed, two words; ``purpose`` tells those apart who draw for the same cell and step."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < LARGEST_SEED:
        raise ValueError(f"a seed is a whole number from 0 to 2^64 - 1; found {seed!r}")
    return np.array([int(seed) & 0xFFFFFFFF, (int(seed) >> 32) ^ purpose], np.uint32)


def standard_normal(bits: jax.Array, dtype: Any) -> jax.Array:
    """A normal number of mean 0 and variance 1 from 32 random bits.

    Made of the upper 23, of which float32 keeps each exactly: both precisions get one number, to rounding. None is
    further than 5.3 from zero.
    """
    odd = ((bits >> np.uint32(9)) << np.uint32(1)) | np.uint32(1)
    uniform = odd.astype(jnp.int32).astype(dtype) * np.asarray(2.0**-23, dtype) - np.asarray(1.0, dtype)
    return jax.lax.erf_inv(uniform) * np.asarray(np.sqrt(2.0), dtype)


def normals(key: ArrayLike, cell: jax.Array, step: ArrayLike, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Two independent normal numbers for each cell in this step."""
    words = jnp.asarray(key)
    # behind a barrier, because XLA on a CPU would draw again for each use of a number
    x, y = jax.lax.optimization_barrier(threefry2x32((words[0], words[1]), (cell, step)))
    return jax.lax.optimization_barrier((standard_normal(x, dtype), standard_normal(y, dtype)))


def normal(key: ArrayLike, cell: jax.Array, step: ArrayLike, dtype: Any) -> jax.Array:
    """One normal number for each cell in this step: the first of :func:`normals`."""
    words = jnp.asarray(key)
    bits, _ = jax.lax.optimization_barrier(threefry2x32((words[0], words[1]), (cell, step)))
    return jax.lax.optimization_barrier(standard_normal(bits, dtype))
