"""Every mechanism once, voltages that hit every singularity, and populations whose every number differs by cell."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

import jaxmem as jm
from jaxmem.membrane.parameters import map_declared

CELLS = 100_000
# mV: 0/0 in rates of 1952, of 1996, of 2014 and in GHK; others where exponentials are 1
SINGULAR = (-40.0, -55.0, 0.0, -65.0, -35.0, -34.0, -30.0)
SHIFTED = (13.0, 15.0, 17.0, 40.0)  # mV above v_t: the same of Traub and Miles
V_T = -55.0

MECHANISMS = {
    "leak": jm.Leak(g=0.1, ion="k"),
    "leak_fixed": jm.Leak(g=0.3, e=-54.387, ion="cl", q10_g=1.4),
    "ghk_sodium": jm.GHKLeak(p=1e-7, ion="na"),
    "ghk_chloride": jm.GHKLeak(p=2e-7, ion="cl", valence=-1, q10_g=1.3),
    "ghk_calcium": jm.GHKLeak(p=1e-8, ion="ca", valence=2),
    "hh_sodium": jm.HodgkinHuxleySodium(),
    "hh_sodium_fixed": jm.HodgkinHuxleySodium(e=50.0),
    "hh_potassium": jm.HodgkinHuxleyPotassium(q10_g=1.5),
    "hh_potassium_fixed": jm.HodgkinHuxleyPotassium(e=-77.0),
    "tm_sodium": jm.TraubMilesSodium(v_t=V_T),
    "tm_potassium": jm.TraubMilesPotassium(v_t=V_T, e=-90.0),
    "wb_sodium": jm.WangBuzsakiSodium(),
    "wb_potassium": jm.WangBuzsakiPotassium(e=-90.0),
    "hd_channels": jm.HubelDahlemChannels(),
    "hh_sodium_shifted": jm.HodgkinHuxleySodium(v_shift=-15.0),  # singular where others are
    "tm_potassium_shifted": jm.TraubMilesPotassium(v_t=V_T, v_shift=2.0),
    "bath": jm.BathExchange("k", tau=500.0, level=3.0),
    "hh_sodium_states": jm.HodgkinHuxleySodiumStates(channels=6000.0),
    "hh_potassium_states": jm.HodgkinHuxleyPotassiumStates(),
    "pump": jm.NaKATPase(i_max=2.0),
    "pump_sigmoid": jm.SigmoidPump(),
    "pump_electroneutral": jm.NaKATPase(i_max=2.0, electrogenic=False, atp=None),
    "pump_voltage_atp": jm.NaKATPase(i_max=2.0, v_half=-90.0, v_slope=30.0, km_atp=0.2, adp="adp"),
    "pump_cycle": jm.PumpCycle(),
}


def membrane_with(mechanism: jm.Mechanism) -> jm.Membrane:
    """All ions alive on both sides, and one mechanism."""
    alive = {"dynamic": ("inside", "outside")}
    species = {
        "na": jm.Species(10.0, 145.0, valence=1, **alive),
        "k": jm.Species(140.0, 5.0, valence=1, **alive),
        "cl": jm.Species(8.0, 120.0, valence=-1, **alive),
        "ca": jm.Species(1e-4, 1.5, valence=2, **alive),
        "atp": jm.Species(2.0, 0.0, valence=0, dynamic=("inside",)),
        "adp": jm.Species(0.1, 0.0, valence=0, dynamic=("inside",)),
        "pi": jm.Species(1.0, 0.0, valence=0, dynamic=("inside",)),
    }
    return jm.Membrane({"it": mechanism}, species, celsius=30.0, geometry=jm.Sphere(10.0, outside_volume_fraction=0.2))


def together() -> jm.Membrane:
    """Every mechanism in one membrane, so that one program looks at all of them."""
    return jm.Membrane(
        MECHANISMS, membrane_with(MECHANISMS["leak"]).species, celsius=30.0, geometry=jm.Sphere(10.0, 0.2)
    )


def widened(membrane: jm.Membrane, precision: str, cells: int = CELLS) -> jm.Membrane:
    """Every number of its own in every cell."""
    return map_declared(lambda _, x: jnp.full(cells, x, precision), membrane)


def sweep(precision: str, cells: int = CELLS, v_t: Iterable[float] = (V_T,)) -> jax.Array:
    """-150 to 100 mV in so many cells, with every singular voltage, its neighbours and near points among them."""
    v = np.linspace(-150, 100, cells).astype(precision)
    special = []
    for x in np.array([*SINGULAR, *(a + u for a in v_t for u in SHIFTED)], precision):
        near = [x, np.nextafter(x, x.dtype.type(-1e3)), np.nextafter(x, x.dtype.type(1e3))]
        special += near + [x + x.dtype.type(s * d) for d in (1e-12, 1e-9, 1e-6, 1e-4, 1e-2, 1.0, 2.5) for s in (-1, 1)]
    places = np.linspace(0, cells - 1, len(special)).astype(int)
    v[places] = special
    assert all(x in v for x in special)
    return jnp.asarray(v)


def states_for(
    membrane: jm.Membrane, v: jax.Array, env: jm.Environment, seed: int = 3
) -> dict[str, dict[str, jax.Array]]:
    """Random occupancies; shut and fully open gates are among them."""
    rng = np.random.default_rng(seed)
    draw = lambda: jnp.asarray(np.clip(rng.uniform(-0.05, 1.05, v.shape), 0, 1).astype(v.dtype))
    return {name: {s: draw() for s in membrane.mechanisms[name].initial(v, env)} for name in membrane.order}


def env_of(membrane: jm.Membrane, v: jax.Array) -> jm.Environment:
    return membrane.environment({name: jnp.zeros_like(v) for name in [*membrane.species, "electrode"]})


def thresholds(membrane: jm.Membrane) -> set[float]:
    """The v_t of its channels, which shift their singular voltages."""
    return {float(p.value) for path, p in membrane.parameters().items() if path.endswith(".v_t")}
