"""Where fits begin: scrambled Sobol points between the bounds, the same for every cell.

A. B. Owen (1995), Randomly permuted (t,m,s)-nets, doi:10.1007/978-1-4612-2552-2_19.
"""

import numpy as np
from scipy.stats import qmc

from jaxmem.analysis.fitting.problem import Numbers


def drawn(numbers: Numbers, index: np.ndarray, seed: int, free: int) -> list[np.ndarray]:
    """Coordinates of the points ``index`` of the sequence, one per member, between the members' bounds."""
    sequence = qmc.Sobol(free, scramble=True, rng=np.random.default_rng(seed))
    count = 1 << int(index.max(initial=0)).bit_length()  # powers of two keep its balance
    unit = sequence.random(count)[index]
    return [
        np.broadcast_to(low, index.shape) + unit[:, i] * (np.asarray(high) - low)
        for i, (low, high) in enumerate(zip(numbers.low[:free], numbers.high[:free], strict=True))
    ]
