"""Channels of fast-spiking interneurons, with sodium activation that follows the voltage at once."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxmem.electrochemistry import exprel_inverse, exprel_inverse_slope
from jaxmem.membrane.channels import ohmic
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Mechanism, Number, Rates, States, parameter


def activation_at_once(v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(m, dm/dv) of an activation that stands at its steady state; source as :class:`WangBuzsakiSodium`."""
    x = -(v + 35) / 10
    opening, closing = exprel_inverse(x), 4 * jnp.exp(-(v + 60) / 18)
    m = opening / (opening + closing)
    return m, (opening / 18 - exprel_inverse_slope(x) / 10) * (closing / (opening + closing)) / (opening + closing)


class WangBuzsakiSodium(Mechanism):
    """Sodium channel of a hippocampal interneuron, ``i = g m_inf(v)^3 h (v - e)``: activation is instantaneous.

    X.-J. Wang & G. Buzsaki (1996), J Neurosci 16:6402, doi:10.1523/JNEUROSCI.16-20-06402.1996; rates as in public code of
    the model (ModelDB 26997). ``phi`` multiplies the rates of h; the paper gives no other dependence on temperature.
    """

    g: Number = parameter("mS/cm^2", "maximal conductance", default=35.0, minimum=0.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    phi: Number = parameter("1", "factor of the rates", default=5.0, positive=True)
    ion: str = eqx.field(static=True, default="na")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        opening = self.phi * (0.07 * jnp.exp(-(v + 58) / 20))
        return {"h": Rates(opening, self.phi / (1 + jnp.exp(-(v + 28) / 10)))}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        m, m_slope = activation_at_once(v)
        driving = v - (env.e[self.ion] if self.e is None else self.e)
        g = self.g * states["h"] * m * m
        return {self.ion: Current(g * m * driving, g * (m + 3 * m_slope * driving))}


class WangBuzsakiPotassium(Mechanism):
    """Delayed rectifier of a hippocampal interneuron, ``i = g n^4 (v - e)``; source as :class:`WangBuzsakiSodium`."""

    g: Number = parameter("mS/cm^2", "maximal conductance", default=9.0, minimum=0.0)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    phi: Number = parameter("1", "factor of the rates", default=5.0, positive=True)
    ion: str = eqx.field(static=True, default="k")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        opening = self.phi * (0.1 * exprel_inverse(-(v + 34) / 10))
        return {"n": Rates(opening, self.phi * (0.125 * jnp.exp(-(v + 44) / 80)))}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        return ohmic(v, self.g * states["n"] ** 4, self.e, self.ion, env)
