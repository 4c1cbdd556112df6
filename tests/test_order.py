"""Second order in time, from random gates, in everything that is reported; rest and energy do not depend on dt."""

import itertools

import equinox as eqx
import jax
import numpy as np
import pytest

import jaxmem as jm

STEPS = (0.00625, 0.003125, 0.0015625)  # ms
DURATION, EVERY = 6.4, 0.2  # ms
ION = dict(dynamic=("inside",))


def squid_with_ions(radius: float) -> jm.Membrane:
    """The squid's channels with ohmic leaks, a pump and three dynamic ions in a cell small enough for them to matter."""
    return jm.Membrane(
        {
            "sodium": jm.HodgkinHuxleySodium(g=120.0),
            "potassium": jm.HodgkinHuxleyPotassium(g=36.0),
            "cl_leak": jm.Leak(g=0.3, ion="cl"),
            "pump": jm.NaKATPase(i_max=20.0, q10=1.0, atp=None),
        },
        {
            "na": jm.Species(inside=10.0, outside=145.0, valence=1, **ION),
            "k": jm.Species(inside=140.0, outside=5.0, valence=1, **ION),
            "cl": jm.Species(inside=10.0, outside=110.0, valence=-1, **ION),
        },
        celsius=6.3,
        geometry=jm.Sphere(radius=radius),
    )


def ghk_with_finite_outside() -> jm.Membrane:
    """Constant-field leaks and spikes with ions that change on both sides."""
    both = dict(dynamic=("inside", "outside"))
    return jm.Membrane(
        {
            "sodium": jm.HodgkinHuxleySodium(g=120.0),
            "potassium": jm.HodgkinHuxleyPotassium(g=36.0),
            "na_leak": jm.GHKLeak(p=2e-7, ion="na"),
            "k_leak": jm.GHKLeak(p=2e-6, ion="k"),
            "cl_leak": jm.GHKLeak(p=1e-6, ion="cl", valence=-1),
            "pump": jm.NaKATPase(i_max=20.0, q10=1.0, atp=None, v_half=-50.0, v_slope=25.0),
        },
        {
            "na": jm.Species(inside=10.0, outside=145.0, valence=1, **both),
            "k": jm.Species(inside=140.0, outside=5.0, valence=1, **both),
            "cl": jm.Species(inside=10.0, outside=110.0, valence=-1, **both),
        },
        celsius=6.3,
        geometry=jm.Sphere(radius=2.0, outside_volume_fraction=0.2),
    )


CASES = {
    "clamped": jm.presets.hodgkin_huxley_1952(),
    "ohmic": squid_with_ions(2.0),
    "ghk": ghk_with_finite_outside(),
    "neuron": jm.presets.pumped_neuron(),
}


def orders(membrane: jm.Membrane, record: tuple[str, ...], cells: int = 6) -> dict[str, np.ndarray]:
    """Observed orders from differences of successive halvings; the ions' refresh interval is refined with dt."""
    random = np.random.default_rng(3)
    state = membrane.initial_state(v=random.uniform(-75, -55, cells))
    gates = jax.tree.map(lambda x: random.uniform(0.1, 0.9, cells), state.states)
    state = membrane.initial_state(v=state.v, states=gates)
    runs = []
    for dt in STEPS:
        stimulus = jm.StepCurrent(amplitude=5.0, start=1.0, stop=100.0)
        n, every = round(DURATION / dt), round(EVERY / dt)
        run = jax.jit(
            lambda s, dt=dt, n=n, every=every, stimulus=stimulus: jm.integrate(
                membrane,
                s,
                stimulus,
                steps=n,
                dt=dt,
                every=every,
                record=record,
                refresh=4,
                first_step=0,
                checkpoint=False,
            )
        )(state)
        assert int(run.final_state.status.max()) == 0
        runs.append({k: np.asarray(x) for k, x in run.traces.items()})
    size = lambda a, b: float(np.sqrt(np.mean((a - b) ** 2)))
    found = {}
    for path in runs[0]:
        differences = [size(a[path], b[path]) for a, b in itertools.pairwise(runs)]
        if differences[0] > 0:
            found[path] = np.log2(np.divide(differences[:-1], differences[1:]))
    return found


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * (c in ("ghk", "clamped", "ohmic"))) for c in CASES]
)
def test_second_order_from_random_gates(case: str) -> None:
    membrane = CASES[case]
    gates = tuple(f"{name}.{s}" for name in membrane.order for s in membrane.initial_state().states[name])
    currents = tuple(f"{name}.i_{membrane.mechanisms[name].ion}" for name in ("sodium", "potassium"))
    ions = tuple(f"{name}.{side}" for name, side in membrane.pools())
    pump = ("pump.i_na",) if "pump" in membrane.mechanisms else ()
    found = orders(membrane, ("v", *gates, *currents, *ions, *pump))
    assert {"v", *gates, *currents, *ions, *pump} == set(found)
    for path, seen in found.items():
        assert seen[-1] >= 1.9, f"{path}: {seen}"


def test_starting_gates_together_with_v_would_be_first_order() -> None:
    """The half step of gates at the start is what makes it second order: without it the same measure sees it."""
    membrane = CASES["clamped"]
    random = np.random.default_rng(3)
    state = membrane.initial_state(v=random.uniform(-75, -55, 6))
    state = membrane.initial_state(v=state.v, states=jax.tree.map(lambda x: random.uniform(0.1, 0.9, 6), state.states))
    ends = []
    for dt in STEPS:
        wrong = eqx.tree_at(lambda s: s.lag, state, np.asarray(0.5 * dt))
        ends.append(
            np.asarray(
                jm.integrate(membrane, wrong, steps=round(3.2 / dt), dt=dt, refresh=4, checkpoint=False).final_state.v
            )
        )
    differences = [np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.pairwise(ends)]
    assert np.log2(differences[-2] / differences[-1]) < 1.5


@pytest.mark.slow
def test_a_change_of_dt_costs_no_order() -> None:
    """A run continued at another dt stays second order: the lag of the gates is part of the state."""
    membrane, ends = CASES["ohmic"], []
    state = membrane.initial_state(v=np.linspace(-70.0, -50.0, 4))
    for dt in STEPS:
        first = jm.integrate(membrane, state, steps=round(3.2 / dt), dt=dt, refresh=4, checkpoint=False).final_state
        again = eqx.tree_at(lambda s: s.step, first, np.int32(0))
        second = jm.integrate(
            membrane, again, steps=round(6.4 / dt), dt=dt / 2, refresh=4, checkpoint=False
        ).final_state
        ends.append(np.asarray(second.v))
    differences = [np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.pairwise(ends)]
    assert np.log2(differences[-2] / differences[-1]) > 1.9
