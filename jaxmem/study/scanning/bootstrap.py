"""Intervals of numbers that are made of sums over a sample: blocks of it are drawn again and again.

A sample of any size is kept as sums over at most `BLOCKS` blocks. The sums are all that a resample needs, so 10^6 points
cost what 10^3 do. Of a sample with fewer points every block is one point: the ordinary bootstrap.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

BLOCKS = 1024
Statistic = Callable[[np.ndarray], np.ndarray]


def interval(
    sums: np.ndarray,
    statistic: Statistic,
    confidence: float,
    resamples: int,
    seed: int,
    resampled: Statistic | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end of each number of ``statistic``: bias-corrected and accelerated bootstrap.

    ``sums`` (blocks, m); ``statistic`` takes sums (r, m) of r samples and gives (r, d); ``resampled`` is used for the
    resamples instead where these need another correction than the sample itself. Returns two arrays (d,), NaN where
    the statistic is. Source: Efron 1987, doi:10.1080/01621459.1987.10478410.
    """
    blocks = len(sums)
    draws = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = sums.sum(0)
        estimate = statistic(whole[None])[0]
        found = (resampled or statistic)(draws.astype(float) @ sums)
        left = statistic(whole - sums)  # without each block: the jackknife
        apart = left.mean(0) - left
        acceleration = np.nan_to_num((apart**3).sum(0) / (6 * ((apart**2).sum(0)) ** 1.5))
    share = np.clip(((found < estimate).mean(0) + (found <= estimate).mean(0)) / 2, 1 / resamples, 1 - 1 / resamples)
    bias = ndtri(share)
    ends = []
    for z in (ndtri((1 - confidence) / 2), ndtri((1 + confidence) / 2)):
        at = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
        column = [np.quantile(found[:, i], at[i]) if np.isfinite(estimate[i]) else np.nan for i in range(len(at))]
        ends.append(np.array(column))
    return ends[0], ends[1]
