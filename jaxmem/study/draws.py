"""Random numbers of cells, and what they become: normal, correlated, lognormal, cut off.

A cell's numbers depend on the seed, the parameter's path and the cell's index alone: not on how many cells there are,
nor on which other parameters vary. They come from the raw output of a counter-based generator, one number per cell,
because raw bits are what NumPy promises never to change.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

ROUNDING = 1e-10  # of the largest eigenvalue: below that a negative one is taken for 0


def raw(seed: int, key: str, start: int, stop: int) -> np.ndarray:
    """(stop - start,) random uint64, the ``start``-th and those after it; none before it needs to be made."""
    key_words = np.array([seed, zlib.crc32(key.encode())], np.uint64)
    generator = np.random.Philox(key=key_words, counter=start // 4)  # four numbers for each count
    return generator.random_raw(stop - start + start % 4)[start % 4 :]


def uniform(seed: int, key: str, cells: int, start: int = 0) -> np.ndarray:
    """(cells - start,) independent numbers between 0 and 1, neither included; the first n are the same for any number
    of cells."""
    return ((raw(seed, key, start, cells) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def standard_normal(seed: int, path: str, cells: int) -> np.ndarray:
    """(cells,) independent normal numbers, mean 0 and variance 1; the first n are the same for any number of cells."""
    return ndtri(uniform(seed, path, cells))


def correlated(normal: Sequence[np.ndarray], correlation: np.ndarray) -> list[np.ndarray]:
    """Normal numbers with this correlation from independent ones (a Gaussian copula), by its Cholesky factor.

    Summed term by term: a matrix product may round a cell differently in another population. Raises ValueError where
    the matrix has a negative eigenvalue, i.e. where no numbers can be correlated so.
    """
    try:
        factor = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        eigenvalues = np.linalg.eigvalsh(correlation)
        if eigenvalues[0] >= -ROUNDING * eigenvalues[-1]:
            factor = _semidefinite(correlation)
        else:
            raise ValueError(
                "these correlations contradict each other: no numbers can have them all. Two parameters that are both "
                "strongly correlated with a third must be so with each other, and a pair left out has correlation 0 "
                f"(the matrix is not positive definite: it has the eigenvalue {eigenvalues[0]:.3g})"
            ) from None
    return [
        sum((factor[i, k] * normal[k] for k in range(i + 1) if factor[i, k]), np.zeros_like(normal[i]))
        for i in range(len(normal))
    ]


def _semidefinite(matrix: np.ndarray) -> np.ndarray:
    """Cholesky's factor where some numbers are fixed by those before them: what rounding left of them is dropped."""
    n = len(matrix)
    factor = np.zeros((n, n))
    for j in range(n):
        left = matrix[j, j] - factor[j, :j] @ factor[j, :j]
        if left > np.sqrt(ROUNDING) * matrix[j, j]:
            factor[j, j] = np.sqrt(left)
            factor[j + 1 :, j] = (matrix[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]) / factor[j, j]
    return factor


def log_sd(cv: float) -> float:
    """The standard deviation of ln x of a lognormal x with this coefficient of variation."""
    return float(np.sqrt(np.log1p(cv**2)))


def cut(z: np.ndarray, low: float, high: float) -> np.ndarray:
    """Normal numbers between ``low`` and ``high`` (in standard deviations) from uncut ones, none rejected.

    Each keeps its rank: ``F^-1(F(low) + F(z) (F(high) - F(low)))``, so that correlated numbers stay so; counted from the
    upper tail where that is the nearer one, which keeps its digits. Raises ValueError where nothing lies between.
    """
    if low > -high:
        return -cut(-z, -high, -low)
    below, within = ndtr(low), ndtr(high) - ndtr(low)
    if not within > 0:
        raise ValueError("nothing of the distribution lies between low and high")
    return np.clip(ndtri(below + ndtr(z) * within), low, high)
