"""Pumps: ions moved against their gradients, paid for in ATP."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Mechanism, Number, States, parameter


def hill(c: ArrayLike, half: ArrayLike, n: ArrayLike) -> jax.Array:
    """``c^n/(c^n + half^n)``, 0 for c <= 0, with finite gradients everywhere (c and half in mM)."""
    c = jnp.asarray(c)
    some = c > 0
    ratio = jnp.where(some, c, 1.0) / half
    return jnp.where(some, 1 / (1 + jnp.exp(-n * jnp.log(ratio))), 0.0)


class NaKATPase(Mechanism):
    """The sodium-potassium pump: per cycle 3 Na+ out, 2 K+ in, one ATP.

    ``i = i_max q10^((T - T0)/10) hill(Na_in) hill(K_out) f(v) f(ATP)`` in uA/cm^2, where ``i/F`` is cycles per area and
    time: the ions move ``+n_na i`` and ``-n_k i``, the net current is ``(n_na - n_k) i``, the ATP used ``i/F``.

    Half activations and Hill numbers are those of C. H. Luo & Y. Rudy (1994), Circ Res 74:1071,
    doi:10.1161/01.RES.74.6.1071 (10 mM and 1.5 for Na+, 1.5 mM and 1 for K+); Q10 2.1 between 25 and 37 degC is that of
    R. Sakai, N. Hagiwara, N. Matsuda, H. Kasanuki & S. Hosoda (1996), J Physiol 490:51.

    With ``v_half`` the rate depends on voltage, ``f(v) = 1/(1 + exp(-(v - v_half)/v_slope))``, as measured by
    D. C. Gadsby & M. Nakao (1989), J Gen Physiol 94:511, doi:10.1085/jgp.94.3.511; with
    ``km_atp`` on the ATP inside, ``ATP/(ATP + km_atp)``. ``electrogenic=False`` makes a pump that takes in as
    much K+ as it puts out Na+, and so moves no charge: the comparison that shows what electrogenicity does.
    ``atp`` names the species that counts ATP (None: not counted), ``adp`` the one that receives it.
    """

    i_max: Number = parameter("uA/cm^2", "maximal rate: F times the cycles per area and time", default=1.0, minimum=0.0)
    km_na: Number = parameter("mM", "half-activating Na+ inside", default=10.0, positive=True)
    hill_na: Number = parameter("1", "Hill number for Na+ inside", default=1.5, positive=True)
    km_k: Number = parameter("mM", "half-activating K+ outside", default=1.5, positive=True)
    hill_k: Number = parameter("1", "Hill number for K+ outside", default=1.0, positive=True)
    n_na: Number = parameter("1", "Na+ moved out per cycle", default=3.0, minimum=0.0)
    n_k: Number = parameter("1", "K+ moved in per cycle", default=2.0, minimum=0.0)
    q10: Number = parameter("1", "Q10 of the rate", default=2.1, positive=True)
    q10_celsius: Number = parameter("degC", "temperature at which i_max is given", default=37.0)
    v_half: Number | None = parameter("mV", "voltage of half-maximal rate", default=None)
    v_slope: Number | None = parameter("mV", "voltage for an e-fold change of the rate", default=None, positive=True)
    km_atp: Number | None = parameter("mM", "half-activating ATP inside", default=None, positive=True)
    electrogenic: bool = eqx.field(static=True, default=True)
    atp: str | None = eqx.field(static=True, default="atp")
    adp: str | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if (self.v_half is None) != (self.v_slope is None):
            raise ValueError("a voltage-dependent pump needs both v_half and v_slope")
        if self.km_atp is not None and self.atp is None:
            raise ValueError("a pump that depends on ATP (km_atp) needs the species that holds it (atp)")

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        rate = self.i_max * env.q10(self.q10, self.q10_celsius)
        rate = rate * hill(env.inside["na"], self.km_na, self.hill_na) * hill(env.outside["k"], self.km_k, self.hill_k)
        if self.km_atp is not None and self.atp is not None:
            rate = rate * env.inside[self.atp] / (env.inside[self.atp] + self.km_atp)
        value, slope = rate, 0.0
        if self.v_half is not None and self.v_slope is not None:
            f = 1 / (1 + jnp.exp(-(v - self.v_half) / self.v_slope))
            value, slope = rate * f, rate * f * (1 - f) / self.v_slope
        back = self.n_k if self.electrogenic else self.n_na
        moved = {"na": Current(self.n_na * value, self.n_na * slope), "k": Current(-back * value, -back * slope)}
        if self.atp is not None:
            moved[self.atp] = Current(value, slope)
        if self.adp is not None:
            moved[self.adp] = Current(-value, -slope)
        return moved


class SigmoidPump(Mechanism):
    """A sodium-potassium pump whose rate is sigmoid in Na+ inside and K+ outside: per cycle 3 Na+ out, 2 K+ in, one ATP.

    ``i = i_max/(1 + exp((na_half - Na_in)/na_slope))/(1 + exp((k_half - K_out)/k_slope))`` in uA/cm^2, ``i/F`` cycles per
    area and time. It runs at any gradient and does not stop where Na+ inside or K+ outside is gone.

    J. R. Cressman, G. Ullah, J. Ziburkus, S. J. Schiff & E. Barreto (2009), J Comput Neurosci 26:159,
    doi:10.1007/s10827-008-0132-4; numbers as in public code of the model (ModelDB 142630, 167714).
    """

    i_max: Number = parameter("uA/cm^2", "maximal rate: F times the cycles per area and time", default=6.8, minimum=0.0)
    na_half: Number = parameter("mM", "half-activating Na+ inside", default=25.0, positive=True)
    na_slope: Number = parameter("mM", "Na+ for an e-fold change at its foot", default=3.0, positive=True)
    k_half: Number = parameter("mM", "half-activating K+ outside", default=5.5, positive=True)
    k_slope: Number = parameter("mM", "K+ for an e-fold change at its foot", default=1.0, positive=True)
    n_na: Number = parameter("1", "Na+ moved out per cycle", default=3.0, minimum=0.0)
    n_k: Number = parameter("1", "K+ moved in per cycle", default=2.0, minimum=0.0)
    atp: str | None = eqx.field(static=True, default="atp")

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        by_na = 1 / (1 + jnp.exp((self.na_half - env.inside["na"]) / self.na_slope))
        by_k = 1 / (1 + jnp.exp((self.k_half - env.outside["k"]) / self.k_slope))
        rate = self.i_max * by_na * by_k
        moved = {"na": Current(self.n_na * rate, 0.0), "k": Current(-self.n_k * rate, 0.0)}
        if self.atp is not None:
            moved[self.atp] = Current(rate, 0.0)
        return moved
