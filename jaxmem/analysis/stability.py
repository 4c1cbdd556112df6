"""Stability of steady states: from the Jacobian of all states, for every cell, without eigenvalues.

Voltage and gates move within milliseconds, amounts within minutes and hours. Their blocks are decoupled exactly by an
invariant subspace (a few iterations of a Riccati equation, each a factor of the ratio of the time scales), because a
characteristic polynomial of both together would lose the slow roots to rounding. Of each block's polynomial (U. J. J. Le
Verrier's coefficients), Routh's table says whether all roots decay, Sturm's chain how many of them are real.
"""

import enum
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

LARGEST = 6  # of a block whose polynomial is trusted; larger ones need eigenvalues
ROUNDS = 6  # of the decoupling
STANDING = {
    "float64": 1e-12,
    "float32": 1e-7,
}  # the slowest amount's rate over the fastest one's: below, it stands still
DECOUPLED = 1e-6  # relative change in the last round
ROUNDING = 1e3  # eps within which a remainder vanishes
NOTHING = 1e-30  # in place of 0 in Routh's table
ENOUGH = 1e-14  # the same, where all cells may stop


class Stability(enum.IntEnum):
    """How a steady state answers to a small push: NODE comes back without, OSCILLATORY with overshoot."""

    NODE = 0
    OSCILLATORY = 1
    UNSTABLE = 2
    UNKNOWN = 3


def stability(matrix: jax.Array, slow: int) -> tuple[jax.Array, jax.Array]:
    """:class:`Stability` per cell of Jacobians (n, n, cells), and how many modes grow (-1 where unknown).

    The last ``slow`` unknowns are amounts. UNKNOWN where a block is larger than 6, or where time scales are not apart
    and n is.
    """
    n = matrix.shape[0]
    cells = matrix.shape[2:]
    unknown = jnp.full(cells, int(Stability.UNKNOWN), jnp.int32)
    if max(n - slow, slow) > LARGEST:
        return unknown, jnp.full(cells, -1, jnp.int32)
    blocks, known = decoupled(matrix, slow)
    counts = [_counts(block) for block in blocks if block.shape[0]]
    growing, real = sum(c[0] for c in counts), sum(c[1] for c in counts)
    if n <= LARGEST and slow not in (0, n):  # where scales are not apart, all at once
        growing_whole, real_whole = _counts(matrix)
        growing, real = jnp.where(known, growing, growing_whole), jnp.where(known, real, real_whole)
        known = jnp.ones(cells, bool)
    found = jnp.where(real == n, int(Stability.NODE), int(Stability.OSCILLATORY))
    found = jnp.where(growing == 0, found, int(Stability.UNSTABLE))
    known &= jnp.isfinite(matrix.sum((0, 1)))
    return jnp.where(known, found, unknown).astype(jnp.int32), jnp.where(known, growing, -1).astype(jnp.int32)


def _counts(block: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many eigenvalues grow (or stand still), and how many are real."""
    polynomial = _characteristic(block)
    return _growing_roots(polynomial), _real_roots(polynomial)


def runs_away(matrix: jax.Array) -> jax.Array:
    """Whether a mode grows, of Jacobians (n, n, cells) of voltage and states; False where n is too large to tell."""
    if matrix.shape[0] > LARGEST:
        return jnp.zeros(matrix.shape[2:], bool)
    return _growing_roots(_characteristic(matrix)) > 0


def determined(matrix: jax.Array, slow: int) -> jax.Array:
    """Whether no slow mode stands still: one that does belongs to a conservation law that nobody knew of."""
    if not slow:
        return jnp.ones(matrix.shape[2:], bool)
    block = decoupled(matrix, slow)[0][1]
    *_, before, last = _characteristic(block)
    tiny = STANDING[str(matrix.dtype)]
    return ~(jnp.abs(last) <= tiny * jnp.abs(before) * jnp.abs(block).sum((0, 1)))


def decoupled(matrix: jax.Array, slow: int) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """The two blocks of the matrix in its own fast and slow subspaces, and whether the iteration came to rest.

    With x = fast + L slow, ``A L - L (E - D L) - B + L D L = 0`` of [[A, B], [D, E]] separates them.
    """
    n = matrix.shape[0] - slow
    a, b, d, e = matrix[:n, :n], matrix[:n, n:], matrix[n:, :n], matrix[n:, n:]
    if not slow or not n:
        return (a, e), jnp.ones(matrix.shape[2:], bool)
    inverse = _inverse(a)

    size = lambda x: jnp.abs(x).sum((0, 1))

    def again(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        ell, _, i = carry
        new = _product(inverse, b + _product(ell, e - _product(d, ell)))
        return new, size(new - ell), i + 1

    going = lambda c: (c[2] < ROUNDS) & jnp.any(~(c[1] <= ENOUGH * size(c[0])))
    start = (_product(inverse, b), jnp.full_like(matrix[0, 0], jnp.inf), jnp.zeros((), jnp.int32))
    ell, change, _ = jax.lax.while_loop(going, again, start)
    apart = (change <= DECOUPLED * size(ell)) & jnp.isfinite(change)
    return (a + _product(ell, d), e - _product(d, ell)), apart


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return (a[:, :, None] * b[None]).sum(1)


def _inverse(a: jax.Array) -> jax.Array:
    """Of matrices (n, n, cells), by Gauss and Jordan with row pivoting."""
    n = a.shape[0]
    one = jnp.eye(n, dtype=a.dtype).reshape((n, n, *[1] * (a.ndim - 2)))
    work = jnp.concatenate([a, jnp.broadcast_to(one, a.shape)], 1)
    for k in range(n):
        rows = list(work)
        for j in range(k + 1, n):  # bubble the largest pivot up
            larger = jnp.abs(rows[j][k]) > jnp.abs(rows[k][k])
            rows[k], rows[j] = jnp.where(larger, rows[j], rows[k]), jnp.where(larger, rows[k], rows[j])
        chosen = rows[k] / rows[k][k]
        # behind a barrier, or the columns still to come would compute it again
        work = jax.lax.optimization_barrier(
            jnp.stack([chosen if i == k else rows[i] - rows[i][k] * chosen for i in range(n)])
        )
    return work[:, n:]


def _characteristic(matrix: jax.Array) -> list[jax.Array]:
    """Coefficients of det(x - matrix), highest power first (Le Verrier & Faddeev)."""
    n = matrix.shape[0]
    coefficients = [jnp.ones_like(matrix[0, 0])]
    work = jnp.zeros_like(matrix)
    diagonal = jnp.eye(n, dtype=bool).reshape((n, n, *[1] * (matrix.ndim - 2)))
    for k in range(1, n + 1):
        work = _product(matrix, work) + jnp.where(diagonal, coefficients[-1], 0.0)
        coefficients.append(-(matrix * work.swapaxes(0, 1)).sum((0, 1)) / k)
    return coefficients


def _growing_roots(polynomial: list[jax.Array]) -> jax.Array:
    """How many roots do not have a negative real part: sign changes in the first column of Routh's table."""
    upper, lower = list(polynomial[0::2]), list(polynomial[1::2])
    positive = polynomial[0] > 0
    changes = jnp.zeros(jnp.shape(polynomial[0]), jnp.int32)
    for _ in range(len(polynomial) - 1):
        now = lower[0] > 0
        changes += (now != positive).astype(jnp.int32)
        positive = now
        longer = [*lower, *[jnp.zeros_like(lower[0])] * (len(upper) - len(lower))]
        first = jnp.where(longer[0] == 0, -NOTHING, longer[0])  # what stands still counts as growing
        below = [upper[i + 1] - upper[0] * longer[i + 1] / first for i in range(len(upper) - 1)]
        upper, lower = lower, below
        if not lower:
            break
    return changes


def _real_roots(polynomial: list[jax.Array]) -> jax.Array:
    """How many roots are real, all only if none turns: sign changes along Sturm's chain, which roots that coincide end early.

    Those count as real where the different ones are: ``n`` less the different roots that are not.
    """
    n = len(polynomial) - 1
    derivative = [(n - i) * c for i, c in enumerate(polynomial[:-1])]
    chain = [polynomial, derivative]
    different = jnp.full(jnp.shape(polynomial[0]), n, jnp.int32)
    goes_on = different > 0
    while len(chain[-1]) > 1:
        p, q = chain[-2], chain[-1]
        q = [jnp.where(goes_on, x, float(i == 0)) for i, x in enumerate(q)]
        first = p[0] / q[0]
        longer = [*q[1:], 0 * q[0]]
        rest = [a - first * b for a, b in zip(p[1:], longer, strict=True)]
        terms = [jnp.abs(a) + jnp.abs(first * b) for a, b in zip(p[1:], longer, strict=True)]
        second = rest[0] / q[0]
        terms = [a + jnp.abs(second * b) for a, b in zip(terms[1:], q[1:], strict=True)]
        rest = [-(a - second * b) for a, b in zip(rest[1:], q[1:], strict=True)]
        vanishes = functools.reduce(
            jnp.logical_and,
            [jnp.abs(x) <= ROUNDING * jnp.finfo(x.dtype).eps * y for x, y in zip(rest, terms, strict=True)],
        )
        different = jnp.where(goes_on & vanishes, n - len(rest), different)  # q divides all: its roots are there twice
        goes_on &= ~vanishes
        size = sum(jnp.abs(x) for x in rest)
        chain.append([jnp.where(goes_on, x / jnp.where(size == 0, 1.0, size), 0.0) for x in rest])
    heads = [p[0] for p in chain]
    signs_low = [h * (-1) ** (len(p) - 1) for h, p in zip(heads, chain, strict=True)]
    count = lambda s: sum((a * b < 0).astype(jnp.int32) for a, b in itertools.pairwise(s))
    return n - (different - (count(signs_low) - count(heads)))


def by_eigenvalues(eigenvalues: np.ndarray) -> np.ndarray:
    """:class:`Stability` from eigenvalues (..., cells, modes)."""
    if not eigenvalues.shape[-1]:
        return np.full(eigenvalues.shape[:-1], Stability.UNKNOWN, np.int32)
    unstable = (eigenvalues.real >= 0).any(-1)
    turns = (np.abs(eigenvalues.imag) > 1e-9 * np.abs(eigenvalues)).any(-1)
    found = np.where(unstable, Stability.UNSTABLE, np.where(turns, Stability.OSCILLATORY, Stability.NODE))
    return np.where(np.isfinite(eigenvalues).all(-1), found, Stability.UNKNOWN).astype(np.int32)
