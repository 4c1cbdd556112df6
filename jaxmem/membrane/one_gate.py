"""Sodium and potassium channels that share one gate, as bifurcation studies of ion homeostasis have them."""

import jax
import jax.numpy as jnp

from jaxmem.electrochemistry import exprel_inverse
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.fast_spiking import activation_at_once
from jaxmem.membrane.mechanism import Current, Mechanism, Number, Rates, States, parameter


class HubelDahlemChannels(Mechanism):
    """Gated sodium and potassium channels with n as their one state: ``g_na m_inf(v)^3 h(n) (v - E_Na)``, ``g_k n^4 (v - E_K)``.

    Activation of sodium is instantaneous; its inactivation follows the gate of potassium,
    ``h = 1 - 1/(1 + exp(-6.5 (n - 0.35)))``. ``phi`` multiplies the rates of n; there is no other dependence on
    temperature. N. Huebel & M. A. Dahlem (2014), PLoS Comput Biol 10:e1003941, doi:10.1371/journal.pcbi.1003941; rates
    and numbers as in the authors' public code (ModelDB 167714).
    """

    g_na: Number = parameter("mS/cm^2", "maximal conductance for Na+", default=100.0, minimum=0.0)
    g_k: Number = parameter("mS/cm^2", "maximal conductance for K+", default=40.0, minimum=0.0)
    phi: Number = parameter("1", "factor of the rates", default=3.0, positive=True)

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Rates]:
        opening = self.phi * (0.1 * exprel_inverse(-(v + 34) / 10))
        return {"n": Rates(opening, self.phi * (0.125 * jnp.exp(-(v + 44) / 80)))}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        n = states["n"]
        m, m_slope = activation_at_once(v - 5)  # the rates of Wang and Buzsaki, 5 mV to the right
        g_na = self.g_na * m * m / (1 + jnp.exp(6.5 * (n - 0.35)))
        g_k, driving = self.g_k * n**4, v - env.e["na"]
        return {
            "na": Current(g_na * m * driving, g_na * (m + 3 * m_slope * driving)),
            "k": Current(g_k * (v - env.e["k"]), g_k),
        }
