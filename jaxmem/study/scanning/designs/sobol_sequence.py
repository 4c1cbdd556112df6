"""The scrambled Sobol sequence at any index.

The integers of the sequence are linear over the bits of the Gray code of the index, so that any of them is had at once,
and the scrambled ones too: ``x(n) = shift ^ L v(k) ^ ...`` over the bits k that are set in ``n ^ (n >> 1)``.

The direction numbers ``v`` are those of S. Joe and F. Y. Kuo (2008), SIAM J Sci Comput 30:2635, doi:10.1137/070709359,
as SciPy has them. The scramble (a random lower triangular matrix L of bits with a unit diagonal, and a random shift) is
that of J. Matousek (1998), J Complexity 14:527, doi:10.1006/jcom.1998.0489, made here from the raw bits of a
counter-based generator: SciPy's own depends on the streams of numpy.random.Generator, which may change with NumPy, and
on how many bits are asked for, and cannot jump: its fast_forward is a loop over the points.
"""

import numpy as np
import scipy

from jaxmem.study.draws import raw

BITS = 52  # of a number, so that it lies in the middle of its smallest cell, exactly
LOW = 10  # bits of the index that go through a table


def directions(dimensions: int) -> np.ndarray:
    """(dimensions, BITS) direction numbers, uint64, the first bit the highest of BITS."""
    from scipy.stats import qmc  # most of a second, which a design of another kind need not wait for

    numbers = getattr(qmc.Sobol(dimensions, scramble=False, bits=BITS), "_sv", None)
    if numbers is None or np.shape(numbers) != (dimensions, BITS):
        raise RuntimeError(
            f"SciPy {scipy.__version__} does not show its Sobol direction numbers where versions up to 1.18 do; take one "
            "of these, or a latin_hypercube design"
        )
    return np.asarray(numbers, np.uint64)


def scrambled(numbers: np.ndarray, seed: int, key: str) -> tuple[np.ndarray, np.uint64]:
    """Direction numbers of one axis after the scramble that ``seed`` and ``key`` stand for, and its shift."""
    bits = [int(x) >> (64 - BITS) for x in raw(seed, key, 0, BITS + 1)]
    out = []
    for v in map(int, numbers):
        x = 0
        for i in range(BITS):  # row i has ones at most up to its diagonal, counted from the highest bit
            diagonal = 1 << (BITS - 1 - i)
            row = (bits[i] & ~(2 * diagonal - 1)) | diagonal
            x |= diagonal * ((row & v).bit_count() & 1)
        out.append(x)
    return np.array(out, np.uint64), np.uint64(bits[BITS])


def points(numbers: np.ndarray, shift: np.uint64, start: int, stop: int) -> np.ndarray:
    """Points ``start`` to ``stop - 1`` of one axis: (stop - start,) float64 between 0 and 1, neither included."""
    low = _sums(numbers, np.arange(1 << LOW, dtype=np.uint64))
    first = start >> LOW
    high = _sums(numbers, np.arange(first, ((stop - 1) >> LOW) + 1, dtype=np.uint64) << np.uint64(LOW))
    index = np.arange(start, stop)
    x = high[(index >> LOW) - first] ^ low[index & ((1 << LOW) - 1)] ^ shift
    return (x + 0.5) * 2.0**-BITS


def _sums(numbers: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The unscrambled, unshifted integers at these indices."""
    gray = index ^ (index >> np.uint64(1))
    x = np.zeros(index.shape, np.uint64)
    for k in range(int(gray.max()).bit_length()):
        x ^= numbers[k] * ((gray >> np.uint64(k)) & np.uint64(1))
    return x
