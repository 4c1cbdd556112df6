"""The sodium pump as a cycle of states: every step can go both ways, and the free energy of ATP says which way they go."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxmem import units
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Mechanism, Number, Scheme, States, parameter

CHARGE_DENSITY = units.ELEMENTARY_CHARGE * 1e17  # uA/cm^2 for one pump per um^2 that makes one cycle per ms
EDGES = (("e1", "e1_p"), ("e1_p", "e2_p"), ("e2_p", "e2"), ("e2", "e1"))
Pairs = tuple[tuple[jax.Array, jax.Array], ...]


class PumpCycle(Mechanism):
    """The sodium-potassium pump (3 Na+ out, 2 K+ in, one ATP) as a reversible Post-Albers cycle of four states.

    ``e1`` (open inside, with ATP) takes up 3 Na+ and gives off ADP, ``e1_p`` (3 Na+ occluded) opens to the outside, ``e2_p``
    exchanges Na+ for 2 K+ and gives off phosphate, ``e2`` (2 K+ occluded) binds ATP and opens to the inside. Binding
    is in equilibrium within ``e1`` and ``e2_p``. The field acts on the binding of one Na+ on either side: with
    x = vF/RT its dissociation constants are ``kd_na_inside_v exp(delta x)`` and ``kd_na_outside_v exp((1 + delta) x)``.

    Rates: J. R. Terkildsen, E. J. Crampin & N. P. Smith (2007), Am J Physiol Heart 293:H3036,
    doi:10.1152/ajpheart.00771.2007, heart cells at 37 degC, with the corrected equations and parameters of M. Pan, P. J.
    Gawthrop, J. Cursons, K. Tran & E. J. Crampin (2020), Physiome, doi:10.36903/physiome.12871070; scheme: N. P. Smith & E.
    J. Crampin (2004), Prog Biophys Mol Biol 85:387, doi:10.1016/j.pbiomolbio.2004.01.010. Theirs is a free energy of -29.7
    kJ/mol at pH 7. Here the backward rate of the third step follows from ``standard`` by detailed balance,

    ``product of (forward/backward) = exp(x) ([Na]i/[Na]o)^3 ([K]o/[K]i)^2 [ATP]/([ADP][P]) exp(-standard/RT)``

    so that the cycle stands still, at any parameters, where :func:`jaxmem.electrochemistry.pump_reversal_potential` says.

    With N pumps per area and J the net rate of a step per pump, Na+ is counted at the second step (3 e N J), K+ (-2 e N J)
    and ATP at the fourth, ADP at the first, phosphate at the third, all of which are one in the steady state.
    ``atp``, ``adp`` and ``phosphate`` name the species (valence 0) that hold them.

    Its fastest steps take 1/50 ms; the steady turnover is exact at any dt, by all integrators (:class:`jaxmem.RungeKutta4` is
    stable up to a dt of 0.04 ms).
    """

    density: Number = parameter("1/um^2", "pumps per area", default=1000.0, minimum=0.0)
    forward_1: Number = parameter("1/ms", "occlusion of 3 Na+, ADP leaves", default=1.4232, positive=True)
    backward_1: Number = parameter("1/(ms*mM)", "the same back, per ADP", default=0.2259048, positive=True)
    forward_2: Number = parameter("1/ms", "opening to the outside", default=11.565, positive=True)
    backward_2: Number = parameter("1/ms", "the same back", default=36.355, positive=True)
    forward_3: Number = parameter("1/ms", "occlusion of 2 K+, phosphate leaves", default=0.1944506, positive=True)
    forward_4: Number = parameter("1/ms", "opening to the inside, with ATP", default=30.63, positive=True)
    backward_4: Number = parameter("1/ms", "the same back", default=1574.0, positive=True)
    kd_na_inside_v: Number = parameter(
        "mM", "Na+ inside, the site in the field, at 0 mV", default=579.7295, positive=True
    )
    kd_na_inside: Number = parameter("mM", "Na+ inside, the two other sites", default=5.6399, positive=True)
    kd_na_outside_v: Number = parameter(
        "mM", "Na+ outside, the site in the field, at 0 mV", default=0.0349, positive=True
    )
    kd_na_outside: Number = parameter("mM", "Na+ outside, the two other sites", default=1.0617e4, positive=True)
    kd_k_inside: Number = parameter("mM", "K+ inside, two sites", default=1.6795e4, positive=True)
    kd_k_outside: Number = parameter("mM", "K+ outside, two sites", default=1.0817, positive=True)
    kd_atp: Number = parameter("mM", "ATP", default=140.3709, positive=True)
    delta: Number = parameter("1", "part of the field at the site inside", default=-0.055)
    standard: Number = parameter("kJ/mol", "free energy of ATP hydrolysis at 1 M, pH 7", default=-30.5)
    q10: Number = parameter("1", "Q10 of all rates", default=2.1, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as given", default=37.0)
    atp: str = eqx.field(static=True, default="atp")
    adp: str = eqx.field(static=True, default="adp")
    phosphate: str = eqx.field(static=True, default="pi")

    def rates(self, v: jax.Array, env: Environment) -> Pairs:
        """(forward, backward) of the four steps of `EDGES` in 1/ms, as they are at the present concentrations."""
        x, phi = v / env.rt_f, env.q10(self.q10, self.q10_celsius)
        atp, adp, phosphate = (env.inside[name] for name in (self.atp, self.adp, self.phosphate))
        na_v = env.inside["na"] / (self.kd_na_inside_v * jnp.exp(self.delta * x))
        na, k = env.inside["na"] / self.kd_na_inside, env.inside["k"] / self.kd_k_inside
        out_v = env.outside["na"] / (self.kd_na_outside_v * jnp.exp((1 + self.delta) * x))
        out, k_out = env.outside["na"] / self.kd_na_outside, env.outside["k"] / self.kd_k_outside
        bound = atp / self.kd_atp
        inside = na_v * na * na + (1 + na) ** 2 + (1 + k) ** 2 - 1
        outside = out_v * out * out + (1 + out) ** 2 + (1 + k_out) ** 2 - 1
        return (
            (phi * self.forward_1 * na_v * na * na / inside, phi * self.backward_1 * adp),
            (phi * self.forward_2, phi * self.backward_2 * out_v * out * out / outside),
            (phi * self.forward_3 * k_out * k_out / outside, phi * self._backward_3(env) * phosphate / (1 + bound)),
            (phi * self.forward_4 * bound / (1 + bound), phi * self.backward_4 * k * k / inside),
        )

    def _backward_3(self, env: Environment) -> Any:
        """By detailed balance, 1/(ms mM): the others' ratio times exp(standard/RT), which is per M."""
        forward = (self.forward_1 / self.backward_1) * (self.forward_2 / self.backward_2) * self.forward_3
        sodium = (self.kd_na_outside_v / self.kd_na_inside_v) * (self.kd_na_outside / self.kd_na_inside) ** 2
        potassium = (self.kd_k_inside / self.kd_k_outside) ** 2
        others = forward * (self.forward_4 / self.backward_4) * sodium * potassium / self.kd_atp
        return others * 1e-3 * jnp.exp(self.standard / (1e-6 * units.FARADAY * env.rt_f))

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Scheme]:
        return {"cycle": Scheme(dict(zip(EDGES, self.rates(v, env), strict=True)))}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        rates, slopes = jax.jvp(lambda v: self.rates(v, env), (v,), (jnp.ones_like(v),))
        scale = self.density * CHARGE_DENSITY

        def moved(step: int, ions: float) -> Current:
            a, b = (states[name] for name in EDGES[step])
            net = lambda pair: ions * scale * (pair[0] * a - pair[1] * b)
            return Current(net(rates[step]), net(slopes[step]))

        return {
            "na": moved(1, 3.0), "k": moved(3, -2.0), self.atp: moved(3, 1.0), self.adp: moved(0, -1.0),
            self.phosphate: moved(2, -1.0),
        }  # fmt: skip
