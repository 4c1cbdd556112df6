"""What an amplifier shows: offsets with their signs, a filter at its corner, noise of its seed."""

import dataclasses

import numpy as np
import pytest

import jaxmem as jm


@pytest.fixture(scope="module")
def sim() -> jm.Simulation:
    cells = jm.presets.pump_leak().with_parameters({"k_leak.g": np.array([0.05, 0.06])})
    return jm.simulate(cells, 20.0, stimulus=jm.StepCurrent(2.0, 5.0, 10.0), record=jm.Record(["v", "stimulus"], 0.05))


def test_offsets(sim: jm.Simulation) -> None:
    shown = jm.readings(sim, jm.Amplifier(bridge_error=0.5, junction_potential=np.array([10.0, -3.0])))["reading.v"]
    v = (
        shown.values - np.array([10.0, -3.0]) - 0.5 * sim.traces["stimulus"]
    )  # the membrane is the reading minus the LJP
    np.testing.assert_allclose(v, sim.traces["v"], atol=1e-9)
    assert shown.unit == "mV"


def test_filter_and_noise(sim: jm.Simulation) -> None:
    time = np.arange(4000) * 0.05
    wave = np.sin(2 * np.pi * 0.5 * time)[:, None] + np.zeros(2)  # 500 Hz
    fake = dataclasses.replace(sim, recorded={"v": dataclasses.replace(sim.recorded["v"], values=wave, time=time)})
    out = jm.readings(fake, jm.Amplifier(corner=500.0))["reading.v"].values
    assert np.sqrt(2) * out[2000:].std() == pytest.approx(2**-0.5, rel=1e-3)  # -3 dB at the corner
    noisy = lambda seed: jm.readings(fake, jm.Amplifier(noise=0.3, seed=seed))["reading.v"].values - wave
    assert noisy(1).std() == pytest.approx(0.3, rel=3.3 / np.sqrt(2 * 8000))
    assert np.array_equal(noisy(1), noisy(1)) and abs(np.corrcoef(noisy(1).ravel(), noisy(2).ravel())[0, 1]) < 0.05
    with pytest.raises(ValueError, match=r"record every 0\.02 ms"):
        jm.readings(fake, jm.Amplifier(corner=10_000.0))
    with pytest.raises(ValueError, match=r"which was not recorded"):
        jm.readings(sim, jm.Amplifier(mode="voltage_clamp"))
