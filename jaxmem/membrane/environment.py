"""What all mechanisms of a membrane share within a step."""

import equinox as eqx
from jaxtyping import ArrayLike

from jaxmem.electrochemistry import q10_factor


class Environment(eqx.Module):
    """Concentrations, reversal potentials and temperature, as mechanisms see them.

    ``inside`` and ``outside`` (mM) and ``e`` (Nernst potentials, mV) are keyed by species; a species without
    concentrations appears in none of them. ``volume`` is relative to the start. ``rt_f`` is RT/F (mV). ``charge_per_mM``
    is what it takes to change a species' inside by 1 mM (nC/cm^2), for mechanisms that think in amounts per time.
    """

    inside: dict[str, ArrayLike]
    outside: dict[str, ArrayLike]
    e: dict[str, ArrayLike]
    volume: ArrayLike
    celsius: ArrayLike
    rt_f: ArrayLike
    charge_per_mM: dict[str, ArrayLike]

    def q10(self, factor: ArrayLike, reference: ArrayLike) -> ArrayLike:
        """``factor**((celsius - reference)/10)``."""
        return q10_factor(factor, self.celsius, reference)
