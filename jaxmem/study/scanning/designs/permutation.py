"""A pseudo-random permutation of any number of things, evaluated at any place without a table."""

import numpy as np

from jaxmem.study.draws import raw

ROUNDS = 10


def permuted(index: np.ndarray, n: int, seed: int, key: str) -> np.ndarray:
    """Where these places (int64, below ``n``) go under the permutation of 0..n-1 that ``seed`` and ``key`` stand for.

    A balanced Feistel network on the next even number of bits, whose round function is a keyed mixer of 64 bits; what
    falls beyond n is sent on until it falls within ("cycle walking"), less than four times on average.

    Sources: M. Luby and C. Rackoff (1988), SIAM J Comput 17:373, doi:10.1137/0217022 (networks of random functions);
    J. Black and P. Rogaway (2002), CT-RSA, doi:10.1007/3-540-45760-7_9 (cycle walking); G. L. Steele, D. Lea and
    C. H. Flood (2014), OOPSLA, doi:10.1145/2660193.2660195 (the mixer).
    """
    half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    keys = raw(seed, key, 0, ROUNDS)
    x = np.asarray(index, np.uint64)
    limit = np.uint64(n)

    def network(x: np.ndarray) -> np.ndarray:
        left, right = x >> half, x & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right + key) & mask)
        return (left << half) | right

    x = network(x)
    while (beyond := np.flatnonzero(x >= limit)).size:
        x[beyond] = network(x[beyond])
    return x.astype(np.int64)


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
