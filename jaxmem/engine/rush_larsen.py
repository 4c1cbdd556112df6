"""Rush and Larsen's method with exponential Euler for the voltage: what most simulators do, here to be compared with.

Gates and voltage are both advanced from the same old state, each by the exact solution of its linear equation (with the
rational exponential of :func:`jaxmem.engine.integrators.relaxation`). It is stable at any dt and first order. Charge is
conserved as in the default integrator. S. Rush & H. Larsen (1978), IEEE Trans Biomed Eng 25:389,
doi:10.1109/TBME.1978.326270.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxmem.engine.fluctuations import Draws
from jaxmem.engine.integrators import Happened, Held, Integrator, Moving, Surroundings, advance_states, move
from jaxmem.rig.drive import Moment, Voltage


class RushLarsen(Integrator):
    """First order: the voltage sees the gates of the old time, not those of mid-step."""

    lagging: ClassVar[bool] = False
    exchanges: ClassVar[bool] = False

    def step(self, held: Held, moving: Moving, index: jax.Array) -> tuple[Moving, Happened]:
        surroundings = Surroundings.of(held, moving)
        drive, rig = held.driver.drive(Moment(index, held.dt, held.cell), moving.v, moving.rig)
        v = held.whole(drive.start) if isinstance(drive, Voltage) else moving.v
        after = advance_states(
            held.membrane, v, moving.states, surroundings.now, held.dt, Draws(index, held.cell, None, held.dt)
        )
        return move(held, moving, surroundings, drive, moving.states, after, jnp.zeros_like(moving.lag), rig)
