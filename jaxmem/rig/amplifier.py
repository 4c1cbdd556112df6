"""What an amplifier adds to what the cell does: offsets, a filter, noise."""

from typing import Literal

import equinox as eqx
import jax

from jaxmem.membrane.mechanism import Number, parameter


class Amplifier(eqx.Module):
    """The imperfections of an amplifier's readings; series resistance and compensation are those of the clamp.

    ``junction_potential`` is that of the bath against the pipette: v of the membrane is the reading minus it, so it is
    added to what is shown (P. H. Barry & J. W. Lynch (1991), J Membr Biol 121:101, doi:10.1007/BF01870526).
    ``bridge_error`` is the resistance that the bridge leaves unbalanced in current clamp: it adds its voltage.
    ``corner`` is the -3 dB frequency of a 4-pole Bessel low-pass (None: no filter). ``noise`` is the standard deviation of
    what is added after it, mV in current clamp, uA/cm^2 in voltage clamp; its numbers depend on (seed, cell, sample).
    """

    bridge_error: Number = parameter("kOhm*cm^2", "resistance that the bridge leaves unbalanced", default=0.0)
    junction_potential: Number = parameter("mV", "liquid junction potential, bath against pipette", default=0.0)
    noise: Number = parameter(
        "1", "standard deviation of added noise, in the unit of the reading", default=0.0, minimum=0.0
    )
    corner: float | None = eqx.field(static=True, default=None)
    mode: Literal["current_clamp", "voltage_clamp"] = eqx.field(static=True, default="current_clamp")
    seed: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        if self.mode not in ("current_clamp", "voltage_clamp"):
            raise ValueError(f"mode is 'current_clamp' or 'voltage_clamp', not {self.mode!r}")
        if self.corner is not None and not isinstance(self.corner, jax.Array) and not self.corner > 0:
            raise ValueError(f"corner is a frequency above 0 Hz; found {self.corner!r}")
