"""The squid's channels as states of whole channels, so that their number matters.

A channel with gates m, m, m, h is in one of eight states, one with n, n, n, n in one of five; rates between neighbours are
those of the gates times how many gates can make the move. With infinitely many channels occupancies follow m^3 h and n^4
exactly; with ``channels`` of them each transition fluctuates (see :class:`jaxmem.membrane.mechanism.Scheme`), which
fluctuating m, h and n themselves would get wrong: J. H. Goldwyn & E. Shea-Brown (2011), PLoS Comput Biol 7:e1002247,
doi:10.1371/journal.pcbi.1002247.
"""

import itertools

import equinox as eqx
import jax

from jaxmem.membrane.channels import HodgkinHuxleyPotassium, HodgkinHuxleySodium, ohmic
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Current, Mechanism, Number, Rates, Scheme, States, parameter

SEEDS = 2**24  # whole numbers that float32 holds
Edges = dict[tuple[str, str], tuple[jax.Array, jax.Array]]


class HodgkinHuxleySodiumStates(Mechanism):
    """Sodium channels of the squid giant axon in eight states ``m0h0`` ... ``m3h1``, ``i = g m3h1 (v - e)``.

    Rates as :class:`HodgkinHuxleySodium`. 120 mS/cm^2 of channels of 20 pS are 60 per um^2: 6000 in 100 um^2, the patch of
    Goldwyn & Shea-Brown (2011) above (their numbers quoted from memory).
    """

    g: Number = parameter("mS/cm^2", "maximal conductance", default=120.0, minimum=0.0)
    channels: Number | None = parameter(
        "1", "channels in the cell, infinitely many if not given", default=None, positive=True
    )
    seed: Number = parameter("1", "seed of the fluctuations, a whole number", default=0, minimum=0, maximum=SEEDS)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10: Number = parameter("1", "Q10 of the rates", default=3.0, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as published", default=6.3)
    ion: str = eqx.field(static=True, default="na")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Scheme]:
        gates = HodgkinHuxleySodium(q10=self.q10, q10_celsius=self.q10_celsius).kinetics(v, {}, env)
        edges: Edges = {}
        for h in (0, 1):
            edges |= _ladder([f"m{k}h{h}" for k in range(4)], gates["m"])
        for k in range(4):
            edges |= _ladder([f"m{k}h0", f"m{k}h1"], gates["h"])
        return {"channel": Scheme(edges, self.channels, self.seed)}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        return ohmic(v, self.g * states["m3h1"], self.e, self.ion, env)


class HodgkinHuxleyPotassiumStates(Mechanism):
    """Potassium channels of the squid giant axon in five states ``n0`` ... ``n4``, ``i = g n4 (v - e)``.

    Rates as :class:`HodgkinHuxleyPotassium`.
    """

    g: Number = parameter("mS/cm^2", "maximal conductance", default=36.0, minimum=0.0)
    channels: Number | None = parameter(
        "1", "channels in the cell, infinitely many if not given", default=None, positive=True
    )
    seed: Number = parameter("1", "seed of the fluctuations, a whole number", default=1, minimum=0, maximum=SEEDS)
    e: Number | None = parameter("mV", "fixed reversal potential", default=None)
    q10: Number = parameter("1", "Q10 of the rates", default=3.0, positive=True)
    q10_celsius: Number = parameter("degC", "temperature of the rates as published", default=6.3)
    ion: str = eqx.field(static=True, default="k")

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> dict[str, Scheme]:
        gate = HodgkinHuxleyPotassium(q10=self.q10, q10_celsius=self.q10_celsius).kinetics(v, {}, env)["n"]
        return {"channel": Scheme(_ladder([f"n{k}" for k in range(5)], gate), self.channels, self.seed)}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> dict[str, Current]:
        return ohmic(v, self.g * states["n4"], self.e, self.ion, env)


def _ladder(names: list[str], gate: Rates) -> Edges:
    """States with 0, 1, 2, ... of equal, independent gates open."""
    last = len(names) - 1
    pairs = enumerate(itertools.pairwise(names))
    return {(a, b): ((last - k) * gate.opening, (k + 1) * gate.closing) for k, (a, b) in pairs}
