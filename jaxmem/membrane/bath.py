"""The bath: a reservoir that a dynamic concentration is exchanged with."""

from typing import Literal

import equinox as eqx
import jax
from jaxtyping import ArrayLike

from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Mechanism, Number, States, parameter


class BathExchange(Mechanism):
    """Exchange of a dynamic concentration with a reservoir, ``dc/dt = (level - c)/tau``, beside what fluxes do to it.

    ``BathExchange("k", tau=2000.0, level=3.5)`` perfuses the space around the cell; ``side="inside"`` is the dialysis of a
    cell by a pipette. A schedule of ``level`` (``bath.level`` for a mechanism named ``bath``) changes the solution. What
    the reservoir gave is an account of the book (``k.outside|bath``), so amounts stay conserved. No charge moves: an ion
    is exchanged together with counter-ions that are not followed. :class:`jaxmem.MembraneError` where the pool is clamped.

    The exchange with a large well-mixed bath by one rate is that of J. R. Cressman, G. Ullah, J. Ziburkus, S. J. Schiff &
    E. Barreto (2009), J Comput Neurosci 26:159, doi:10.1007/s10827-008-0132-4.
    """

    ion: str = eqx.field(static=True)
    tau: Number = parameter("ms", "time constant of the exchange", positive=True)
    level: Number = parameter("mM", "concentration in the reservoir", minimum=0.0)
    side: Literal["inside", "outside"] = eqx.field(static=True, default="outside")

    def transfers(
        self, v: jax.Array, states: States, env: Environment
    ) -> dict[tuple[str, str], tuple[ArrayLike, ArrayLike]]:
        return {(f"{self.ion}.{self.side}", "bath"): (1 / self.tau, self.level / self.tau)}
