"""The populations that are timed: the same as in limit.c, made of the package's own classes."""

import jax
import numpy as np

import jaxmem as jm

DT, DURATION, SAMPLE_MS = 0.025, 100.0, 1.0  # ms
STIMULUS = jm.ConstantCurrent(amplitude=10.0)  # uA/cm^2
MEASURES = ("minimum_v", "maximum_v", "mean_v", "spike_count", "first_spike_time")
NAMES = {
    "W1": "squid axon of 1952, fixed reversal potentials",
    "W2": "squid channels with Na/K pump and leaks, dynamic Na and K",
}


def squid() -> jm.Membrane:
    """W1."""
    return jm.presets.get("hodgkin_huxley_1952")


def pumped_squid() -> jm.Membrane:
    """W2: squid concentrations, a sphere of 10 um, so that spikes change them; the electrode injects K+."""
    return jm.Membrane(
        mechanisms={
            "sodium": jm.HodgkinHuxleySodium(g=120.0),
            "potassium": jm.HodgkinHuxleyPotassium(g=36.0),
            "na_leak": jm.Leak(g=0.02, ion="na"),
            "k_leak": jm.Leak(g=0.08, ion="k"),
            "cl_leak": jm.Leak(g=0.2, ion="cl"),
            "pump": jm.NaKATPase(i_max=1.1, km_na=30.0, hill_na=3.0, km_k=3.5, hill_k=2.0, q10_celsius=6.3, atp=None),
        },
        species={
            "na": jm.Species(inside=50.0, outside=440.0, dynamic=("inside",)),
            "k": jm.Species(inside=400.0, outside=20.0, dynamic=("inside",)),
            "cl": jm.Species(inside=54.77, outside=560.0, valence=-1),
        },
        celsius=6.3,
        geometry=jm.Sphere(radius=10.0),
    )


def population(name: str, cells: int) -> jm.Membrane:
    """W1 or W2 with every conductance varied by +-10 %, the leaks of a cell together."""
    membrane = {"W1": squid, "W2": pumped_squid}[name]()
    draw = np.random.default_rng(1)
    sodium, potassium, leak = (1 + 0.1 * draw.uniform(-1, 1, cells) for _ in range(3))
    factors = {"sodium.g": sodium, "potassium.g": potassium}
    factors |= {f"{m}.g": leak for m in membrane.order if m.endswith("leak")}
    parameters = membrane.parameters()
    return membrane.with_parameters({path: parameters[path].value * factor for path, factor in factors.items()})


def select_precision(precision: str) -> None:
    """Arrays of this precision from here on in this process."""
    jax.config.update("jax_enable_x64", precision == "float64")
