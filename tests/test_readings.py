"""What an amplifier shows: offsets with their signs, a filter at its corner, noise of its seed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import jaxmem as jm
from jaxmem.cli.commands import cli


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


# ---------------------------------------------------------------------- [amplifier] in experiment files
HEAD = (
    'question = "?"\n[membrane]\npreset = "pump_leak"\n[membrane.geometry]\narea = 1000\nvolume = 2000\n'
    "[run]\nduration = 20\ndt = 0.05\n"
)
STEP = '[stimulus]\nkind = "step"\namplitude = "20 pA"\nstart = 5\nstop = 10\n'
CLAMP = '[stimulus]\nkind = "voltage_clamp"\nholding = -70\ncommand = { times = [5, 10], values = [-20, -70] }\n'
RECORDED = '[[output.traces]]\nvariables = ["v", "stimulus"]\nevery = 0.05\n'
CLAMPED = '[[output.traces]]\nvariables = ["v", "clamp", "command"]\nevery = 0.05\n'
BRIDGE = '[amplifier]\nmode = "current_clamp"\nbridge_error = "5 MOhm"\njunction_potential = "12 mV"\n'
SERIES = (
    '[amplifier]\nmode = "voltage_clamp"\nseries_resistance = "10 MOhm"\ncompensation = 0.6\nprediction = 0.5\n'
    'pipette_capacitance = "3 pF"\nseal_conductance = "2 GOhm"\nfilter = "2 kHz"\nnoise = "3 pA"\nseed = 4\n'
)


def written(folder: Path, *tables: str) -> Path:
    path = folder / "e.toml"
    path.write_text(HEAD + "".join(tables))
    return path


@pytest.mark.slow
def test_the_bridge_of_a_file_stands_in_the_result(tmp_path: Path) -> None:
    target = tmp_path / "e.h5"
    path = written(tmp_path, STEP, RECORDED, BRIDGE)
    assert CliRunner().invoke(cli, ["simulate", str(path), "-o", str(target)]).exit_code == 0
    back, ran = jm.load(target), jm.experiment.load(path).run()
    assert back.recorded["reading.v"].unit == "mV" and back.recorded["reading.v"].values.dtype == np.float32
    np.testing.assert_array_equal(back.traces["reading.v"], ran.traces["reading.v"])
    # 20 pA through 5 MOhm are 0.1 mV, and the junction's 12 mV are added
    during = ((back.time >= 5) & (back.time < 10))[:, None]
    np.testing.assert_allclose(back.traces["reading.v"] - back.traces["v"], 12 + 0.1 * during, atol=2e-5)
    table = back.to_xarray()
    assert table["reading.v"].dims == table["v"].dims == ("time", "cell")
    shown = CliRunner().invoke(cli, ["show", str(target)]).output
    assert "reading.v" in shown and "voltage that the amplifier shows" in shown
    assert target.with_suffix(".png").exists()


@pytest.mark.slow
def test_the_clamp_of_a_file_is_that_of_the_amplifier(tmp_path: Path) -> None:
    path = written(tmp_path, CLAMP, CLAMPED, SERIES)
    found = jm.experiment.load(path)
    clamp = found.stimulus
    assert isinstance(clamp, jm.VoltageClamp)
    fields = (
        clamp.series_resistance,
        clamp.compensation,
        clamp.prediction,
        clamp.pipette_capacitance,
        clamp.seal_conductance,
    )
    np.testing.assert_allclose(fields, (0.1, 0.6, 0.5, 0.3, 0.05), rtol=1e-12)  # by the area of 1000 um^2
    assert found.amplifier == jm.Amplifier(noise=0.3, corner=2000.0, mode="voltage_clamp", seed=4)
    ran = found.run()
    quiet = jm.experiment.load(path, ["amplifier.noise=0", "amplifier.filter=4000"]).run()
    noise = (
        ran.traces["reading.i"] - jm.readings(ran, dataclasses.replace(found.amplifier, noise=0.0))["reading.i"].values
    )
    assert noise.std() == pytest.approx(0.3, rel=3.3 / np.sqrt(2 * noise.size))
    np.testing.assert_array_equal(quiet.traces["clamp"], ran.traces["clamp"])  # it shows, and does nothing to the cell
    np.testing.assert_allclose(quiet.traces["reading.i"][-1], quiet.traces["clamp"][-1], rtol=1e-2)


@pytest.mark.parametrize(
    ("tables", "line", "told"),
    [
        ((STEP, RECORDED, SERIES), 19, 'which needs one stimulus of kind = "voltage_clamp"'),
        ((CLAMP, CLAMPED, BRIDGE), 18, "amplifier.mode: found 'current_clamp', but the stimulus is a voltage clamp"),
        ((STEP, RECORDED, BRIDGE, "compensation = 0.5\n"), 22, 'amplifier.compensation: belongs to mode = "voltage_clamp"'),
        ((CLAMP, CLAMPED, SERIES, "bridge_error = 1\n"), 27, "it is series_resistance here"),
        ((CLAMP, "compensation = 0.1\n", CLAMPED, SERIES), 21, "amplifier.compensation: is given under stimulus too"),
        ((STEP, RECORDED.replace(', "stimulus"', ""), BRIDGE), 18, "it reads 'v' and 'stimulus', which one of [[output.traces]]"),
        ((CLAMP, CLAMPED.replace('"clamp", ', ""), SERIES), 17, 'must record: variables = ["clamp"]'),
        ((CLAMP, CLAMPED.replace("0.05", "0.5"), SERIES), 24, "amplifier.filter: a filter at 2000 Hz needs 5 samples"),
        ((CLAMP, CLAMPED, SERIES.replace("0.6", "1.6")), 20, "amplifier.compensation: must be at most 0.99"),
        ((CLAMP, CLAMPED, SERIES.replace('"3 pA"', '"3 mV"')), 25, "amplifier.noise: "),
        ((CLAMP, CLAMPED, '[amplifier]\nmode = "voltage_clamp"\nprediction = 1\n'), 19, "needs a series_resistance"),
        ((STEP, RECORDED, '[amplifier]\nmode = "bridge"\n'), 19, "amplifier.mode: found 'bridge'"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_by_line(
    tables: tuple[str, ...], line: int, told: str, tmp_path: Path
) -> None:
    path = written(tmp_path, *tables)
    with pytest.raises(jm.ExperimentError) as error:
        jm.experiment.load(path)
    assert len(error.value.problems) == 1, error.value.problems  # nothing that only follows from it
    assert any(x.startswith(f"{path}:{line}: ") and told in x for x in error.value.problems), error.value.problems
