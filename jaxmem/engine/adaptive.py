"""The adaptive stiff integrator: each cell chooses its own steps, to a tolerance. For minutes and hours, and as a reference.

Kvaerno's stiffly accurate ESDIRK method of order 5 with its embedded error of order 4 and a PI controller, both those of
Diffrax; the equations are ``Membrane.derivative`` with stimulus and changing parameters taken at each stage's time. Steps
end at every edge of what is done to the cell, where right-hand sides jump, and at every spike, which is thereby located.
A. Kvaerno (2004), BIT Numer Math 44:489, doi:10.1023/B:BITN.0000046811.70614.38; P. Kidger (2021), On neural
differential equations, doi:10.48550/arXiv.2202.02435.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax

from jaxmem.engine.integrators import Happened, Held, Integrator, Moving


class Adaptive(Integrator):
    """Steps as long as the error allows; ``dt`` of a run is then only the grid of its records and of its step counter.

    A step is kept where the estimated error of every unknown is below ``atol`` times its unit plus ``rtol`` times its size.
    Units: 1 mV; 1 for a gate or state; 1 mM for an amount, or what the pool started with where that is less. In float32
    neither is taken finer than 1e-5. The default leaves v within 1e-4 mV after hours. Books close to round-off,
    whatever the tolerance.

    ``first_dt`` (ms) is tried first after every edge (None: from the slopes there), ``longest_dt`` (ms) is the longest
    allowed: set it below the shortest transient that a smooth stimulus could hide in one step. A cell that needs more
    than ``max_steps`` tries, or a step below 1e-12 ms, gets the status NO_STEP, and the others go on.

    Upward crossings of 0 mV are found on the cubic through the ends of a step that is cut to end there, to the
    tolerance of the voltage. Derivatives do not go through it: :func:`jaxmem.integrate` takes integrators of fixed steps.
    """

    lagging: ClassVar[bool] = False
    exchanges: ClassVar[bool] = True
    rtol: float = eqx.field(static=True, default=1e-8)
    atol: float = eqx.field(static=True, default=1e-8)
    max_steps: int = eqx.field(static=True, default=1_000_000)
    first_dt: float | None = eqx.field(static=True, default=None)
    longest_dt: float = eqx.field(static=True, default=math.inf)

    def __check_init__(self) -> None:
        for name in ("rtol", "atol", "longest_dt"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0; found {getattr(self, name)!r}")
        if self.rtol > 1e-2 or self.atol > 1e-2:
            raise ValueError(f"a tolerance above 1e-2 means nothing; found rtol {self.rtol:g}, atol {self.atol:g}")
        if self.first_dt is not None and not 0 < self.first_dt < math.inf:
            raise ValueError(f"first_dt is a time above 0 ms, or None; found {self.first_dt!r}")
        if not (isinstance(self.max_steps, int) and 1 <= self.max_steps < 2**31):
            raise ValueError(f"max_steps is a whole number of at least 1, below 2^31; found {self.max_steps!r}")

    def step(self, held: Held, moving: Moving, index: jax.Array) -> tuple[Moving, Happened]:
        raise TypeError("Adaptive has no fixed step")
