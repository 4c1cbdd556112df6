"""Fits to simulations: jm.fit with targets during a trial, beside targets at rest."""

import numpy as np
import pytest

import jaxmem as jm

SHUNTS = (0.02, 0.05)


def passive(cells: int) -> jm.Membrane:
    g = np.linspace(0.05, 0.2, cells)
    return jm.Membrane(
        mechanisms={"leak": jm.Leak(g=g, e=-85.0, ion="nonspecific"), "shunt": jm.Leak(g=0.02, e=-20.0, ion="nonspecific")},
        species={"nonspecific": jm.Species()}, capacitance=np.linspace(0.8, 1.3, cells), celsius=25.0, initial_v=-80.0,
    )  # fmt: skip


def fitted(truth: jm.Membrane, fit: jm.Fit) -> None:
    for path in fit.free:
        np.testing.assert_allclose(fit.parameters[path], truth.parameters()[path].value, rtol=1e-6, err_msg=path)


def test_leak_and_capacitance_from_traces_and_a_rest() -> None:
    """Each cell its own current and trace; rest is a target beside it. What is fitted runs again to the same trace."""
    truth, cells = passive(8), 8
    trial = jm.Trial(jm.StepCurrent(np.linspace(0.3, -0.5, cells), 8.0, 40.0), 60.0, 0.1, every=4.0)
    sim = jm.simulate(
        truth, 60.0, dt=0.1, stimulus=trial.stimulus, record=jm.Record("v", every=4.0),
        initial=jm.resting_state(truth).state,
    )  # fmt: skip
    target = sim.traces["v"].copy()
    target[3, 1] = np.nan  # a sample that was not measured
    begin = truth.with_parameters({"leak.g": 0.1, "capacitance": 1.0, "leak.e": -80.0})
    fit = jm.fit(
        begin, free={"leak.g": (0.01, 1.0), "capacitance": (0.3, 3.0), "leak.e": (-100.0, -60.0)},
        targets={"v": jm.Target(target, sd=0.1, during=trial), "resting_potential": jm.Target(sim.traces["v"][0], sd=0.1)},
    )  # fmt: skip
    assert (fit.status == jm.FitStatus.CONVERGED).all()
    fitted(truth, fit)
    assert fit.values["v"].shape == (16, cells) and np.isnan(fit.residuals["v"][3, 1])
    np.testing.assert_allclose(fit.values["v"], sim.traces["v"], atol=1e-6)
    assert fit.mode == "forward, 3 parameters to 16 numbers of a trial"


def test_measures_in_two_conditions_with_starts() -> None:
    """Under two shunts at once, from three starts; one trial with a waveform, one with a pulse."""
    truth = passive(1)[0]
    pulse = jm.Trial(jm.StepCurrent(-0.3, 8.0, 40.0), 60.0, 0.1)
    wave = jm.Waveform(0.3 * np.sin(np.arange(400) / 20), 0.1)
    swing = jm.Trial(wave, 40.0, 0.1, initial="given")
    targets, told = {}, {}
    for name, trial in (("minimum_v", pulse), ("maximum_v", swing)):
        told[name] = [
            jm.simulate(
                m, trial.duration, dt=0.1, stimulus=trial.stimulus, measures=name,
                initial=jm.resting_state(m).state if trial is pulse else None,
            ).measures[name]
            for m in (truth.with_parameters({"shunt.g": g}) for g in SHUNTS)
        ]  # fmt: skip
        targets[name] = jm.Target(told[name], sd=0.1, during=trial, at=[{"shunt.g": g} for g in SHUNTS])
    fit = jm.fit(truth, free={"leak.g": (0.01, 1.0), "capacitance": (0.3, 3.0)}, targets=targets, starts=3)
    assert (fit.status == jm.FitStatus.CONVERGED).all() and fit.values["minimum_v"].shape == (2, 3)
    fitted(truth, fit)
    np.testing.assert_allclose(fit.values["maximum_v"].T, np.broadcast_to(told["maximum_v"], (3, 2)), atol=1e-6)


def test_a_target_that_a_simulation_cannot_meet_is_refused_in_words() -> None:
    membrane, free = passive(2), {"leak.g": (0.01, 1.0)}
    trial = jm.Trial(jm.StepCurrent(np.ones(3)), 10.0, 0.1)
    with pytest.raises(
        ValueError, match=r"arrays over cells must have one length: .*stimulus.amplitude of the trial of final_v"
    ):
        jm.fit(membrane, free=free, targets={"final_v": jm.Target(-60.0, during=trial)})
    trial = jm.Trial(jm.StepCurrent(1.0), 10.0, 0.1)
    for name, said in (("spike_count", "cannot be fitted by gradients"), ("v", "how often"), ("vee", "there is no")):
        with pytest.raises(ValueError, match=said):
            jm.fit(membrane, free=free, targets={name: jm.Target(-60.0, during=trial)})
    with pytest.raises(ValueError, match="a function goes with rests"):
        jm.fit(membrane, free=free, targets={"x": jm.Target(-60.0, of=lambda m, r: r.v, during=trial)})


@pytest.mark.slow
def test_backwards_in_float32_and_by_first_order_methods_it_is_the_same_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were more parameters than numbers; in the narrower precision; by the gradient of the whole cost."""
    truth, free = passive(3), {"leak.g": (0.01, 1.0), "capacitance": (0.3, 3.0)}
    trial = jm.Trial(jm.StepCurrent(-0.3, 8.0, 24.0), 30.0, 0.1)
    sim = jm.simulate(
        truth,
        30.0,
        dt=0.1,
        stimulus=trial.stimulus,
        measures=("mean_v", "final_v"),
        initial=jm.resting_state(truth).state,
    )
    targets = {name: jm.Target(x, sd=0.1, during=trial) for name, x in sim.measures.items()}
    begin = truth.with_parameters({"leak.g": 0.1, "capacitance": 1.0})
    forward = jm.fit(begin, free=free, targets=targets)
    fitted(truth, forward)
    narrow = jm.fit(begin, free=free, targets=targets, precision="float32")
    assert narrow.cost.dtype == np.float64 or narrow.jacobian.dtype == np.float32
    for path in free:
        np.testing.assert_allclose(narrow.parameters[path], forward.parameters[path], rtol=1e-3)
    descent = jm.fit(begin, free=free, targets=targets, method=jm.GradientDescent("adam", steps=200))
    first = jm.fit(begin, free=free, targets=targets, method=jm.GradientDescent("adam", steps=1))
    assert (descent.cost < 1e-2 * first.cost).all()
    monkeypatch.setattr("jaxmem.analysis.fitting.through_time.derivative_mode", lambda p, n: "reverse")
    back = jm.fit(begin, free=dict(reversed(free.items())), targets=targets)
    assert back.mode == "reverse, 2 parameters to 2 numbers of a trial"
    np.testing.assert_allclose(back.jacobian, forward.jacobian[:, ::-1], rtol=1e-6)
