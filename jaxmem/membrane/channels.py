"""Channels: leaks, and the sodium and potassium channels of Hodgkin-Huxley type, as their papers write them.

Rate constants stand in the equations; what an experiment varies (conductance, permeability, temperature factors, the
threshold shift) is a parameter. ``v_shift`` moves the rates of all gates of a channel along the voltage, as surface charge,
divalent ions and some drugs do (B. Frankenhaeuser & A. L. Hodgkin (1957), J Physiol 137:218,
doi:10.1113/jphysiol.1957.sp005808); None is no shift.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxmem.electrochemistry import exprel_inverse, ghk_current_and_slope
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Mechanism, Number, Rates, States, parameter


def ohmic(v: jax.Array, g: jax.Array, e: Number | None, ion: str, env: Environment) -> dict[str, Current]:
    """``g (v - e)``, with the Nernst potential of the ion where e is not fixed."""
    return {ion: Current(g * (v - (env.e[ion] if e is None else e)), g)}


def _shift() -> Any:
    return parameter("mV", "shift of the gates along the voltage, positive to the right", default=None, absent=0.0)


def _shifted(v: jax.Array, shift: Number | None) -> jax.Array:
    """The voltage that the gates see."""
    return v if shift is None else v - shift


class Leak(Mechanism):
    """Ohmic leak of one ion, ``i = g (v - e)``; ``e`` is the ion's Nernst potential unless it is fixed."""

    g: Number = parameter("mS/cm^2", "leak conductance", default=0.05, minimum=0.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10_g: Number = parameter("1", "Q10 of the conductance", default=1.0, positive=True)
    q10_g_celsius: Number = parameter("degC", "temperature at which g is given", default=37.0)
    ion: str = eqx.field(static=True, default="k")

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        g = self.g * env.q10(self.q10_g, self.q10_g_celsius)
        return ohmic(v, g, self.e, self.ion, env)


class GHKLeak(Mechanism):
    """Leak by constant-field permeation of one ion of any valence; sources as :func:`jaxmem.electrochemistry.ghk_current`."""

    p: Number = parameter("cm/s", "permeability", default=1e-7, minimum=0.0)
    q10_g: Number = parameter("1", "Q10 of the permeability", default=1.0, positive=True)
    q10_g_celsius: Number = parameter("degC", "temperature at which p is given", default=37.0)
    ion: str = eqx.field(static=True, default="k")
    valence: int = eqx.field(static=True, default=1)

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        p = self.p * env.q10(self.q10_g, self.q10_g_celsius)
        inside, outside = env.inside[self.ion], env.outside[self.ion]
        return {self.ion: Current(*ghk_current_and_slope(v, p, inside, outside, self.valence, env.rt_f))}


class HodgkinHuxleySodium(Mechanism):
    """Sodium channel of the squid giant axon, ``i = g m^3 h (v - e)``.

    A. L. Hodgkin & A. F. Huxley (1952), J Physiol 117:500, doi:10.1113/jphysiol.1952.sp004764, equations 20, 21, 23, 24,
    with v as inside minus outside and rest at -65 mV; Q10 3 of the rates from 6.3 degC (same paper).
    """

    g: Number = parameter("mS/cm^2", "maximal conductance", default=120.0, minimum=0.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10: Number = parameter("1", "Q10 of the rates", default=3.0, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as published", default=6.3)
    q10_g: Number = parameter("1", "Q10 of the conductance", default=1.0, positive=True)
    q10_g_celsius: Number = parameter("degC", "temperature at which g is given", default=6.3)
    v_shift: Number | None = _shift()
    ion: str = eqx.field(static=True, default="na")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        u, phi = _shifted(v, self.v_shift), env.q10(self.q10, self.q10_celsius)
        return {
            "m": Rates(phi * exprel_inverse(-(u + 40) / 10), phi * (4 * jnp.exp(-(u + 65) / 18))),
            "h": Rates(phi * (0.07 * jnp.exp(-(u + 65) / 20)), phi / (1 + jnp.exp(-(u + 35) / 10))),
        }

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        g = self.g * env.q10(self.q10_g, self.q10_g_celsius) * states["m"] ** 3 * states["h"]
        return ohmic(v, g, self.e, self.ion, env)


class HodgkinHuxleyPotassium(Mechanism):
    """Delayed rectifier of the squid giant axon, ``i = g n^4 (v - e)``; source as :class:`HodgkinHuxleySodium`."""

    g: Number = parameter("mS/cm^2", "maximal conductance", default=36.0, minimum=0.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10: Number = parameter("1", "Q10 of the rates", default=3.0, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as published", default=6.3)
    q10_g: Number = parameter("1", "Q10 of the conductance", default=1.0, positive=True)
    q10_g_celsius: Number = parameter("degC", "temperature at which g is given", default=6.3)
    v_shift: Number | None = _shift()
    ion: str = eqx.field(static=True, default="k")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        u, phi = _shifted(v, self.v_shift), env.q10(self.q10, self.q10_celsius)
        return {"n": Rates(phi * (0.1 * exprel_inverse(-(u + 55) / 10)), phi * (0.125 * jnp.exp(-(u + 65) / 80)))}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        g = self.g * env.q10(self.q10_g, self.q10_g_celsius) * states["n"] ** 4
        return ohmic(v, g, self.e, self.ion, env)


class TraubMilesSodium(Mechanism):
    """Sodium channel of mammalian central neurons, ``i = g m^3 h (v - e)``.

    R. D. Traub & R. Miles (1991), Neuronal Networks of the Hippocampus, in the form of M. Pospischil et al. (2008), Biol
    Cybern 99:427, doi:10.1007/s00422-008-0263-8, at 36 degC; ``v_t`` shifts the threshold.
    """

    g: Number = parameter("mS/cm^2", "maximal conductance", default=50.0, minimum=0.0)
    v_t: Number = parameter("mV", "voltage that sets the spike threshold", default=-55.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10: Number = parameter("1", "Q10 of the rates", default=3.0, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as published", default=36.0)
    q10_g: Number = parameter("1", "Q10 of the conductance", default=1.0, positive=True)
    q10_g_celsius: Number = parameter("degC", "temperature at which g is given", default=36.0)
    v_shift: Number | None = _shift()
    ion: str = eqx.field(static=True, default="na")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        u, phi = _shifted(v, self.v_shift) - self.v_t, env.q10(self.q10, self.q10_celsius)
        return {
            # 0.32 (13 - u)/(exp((13 - u)/4) - 1) and 0.28 (u - 40)/(exp((u - 40)/5) - 1)
            "m": Rates(phi * (1.28 * exprel_inverse((13 - u) / 4)), phi * (1.4 * exprel_inverse((u - 40) / 5))),
            "h": Rates(phi * (0.128 * jnp.exp((17 - u) / 18)), phi * (4 / (1 + jnp.exp((40 - u) / 5)))),
        }

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        g = self.g * env.q10(self.q10_g, self.q10_g_celsius) * states["m"] ** 3 * states["h"]
        return ohmic(v, g, self.e, self.ion, env)


class TraubMilesPotassium(Mechanism):
    """Delayed rectifier of mammalian central neurons, ``i = g n^4 (v - e)``; source as :class:`TraubMilesSodium`."""

    g: Number = parameter("mS/cm^2", "maximal conductance", default=5.0, minimum=0.0)
    v_t: Number = parameter("mV", "voltage that sets the spike threshold", default=-55.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10: Number = parameter("1", "Q10 of the rates", default=3.0, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as published", default=36.0)
    q10_g: Number = parameter("1", "Q10 of the conductance", default=1.0, positive=True)
    q10_g_celsius: Number = parameter("degC", "temperature at which g is given", default=36.0)
    v_shift: Number | None = _shift()
    ion: str = eqx.field(static=True, default="k")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        u, phi = _shifted(v, self.v_shift) - self.v_t, env.q10(self.q10, self.q10_celsius)
        # 0.032 (15 - u)/(exp((15 - u)/5) - 1)
        return {"n": Rates(phi * (0.16 * exprel_inverse((15 - u) / 5)), phi * (0.5 * jnp.exp((10 - u) / 40)))}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        g = self.g * env.q10(self.q10_g, self.q10_g_celsius) * states["n"] ** 4
        return ohmic(v, g, self.e, self.ion, env)
