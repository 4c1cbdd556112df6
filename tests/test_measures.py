"""Measures: closed forms, eFEL's numbers on the same traces, and the same answer on line as from a recording."""

import importlib.util
import pathlib
import warnings
from typing import Any, ClassVar

import click.testing
import efel
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmem as jm
from jaxmem import report
from jaxmem.cli.commands import cli
from jaxmem.engine.measures import (
    EFEL,
    ATPPerSpike,
    PeakInwardCurrent,
    PeakOutwardCurrent,
    SpikeAmplitude,
    SpikeTimes,
    SpikeWidth,
    SteadyCurrent,
    passive,
    trains,
)
from jaxmem.study.summary import summary
from jaxmem.units import AVOGADRO, FARADAY

LENGTH = 240.0  # ms, of all traces that are compared: one program for all
DT = 1 / 32  # ms, a binary fraction: eFEL sums times, and its edges fall where ours do
OF_V = [
    "mean_v", "spike_count", "firing_rate", "spike_times", "isi_cv", "adaptation", "spike_amplitude", "spike_width",
    "afterhyperpolarisation", "sag_ratio", "time_constant", "mean_frequency",
]  # fmt: skip


class HCurrent(jm.Mechanism):
    """A slow inward rectifier, only to give a sag; its numbers are of no cell."""

    g: jm.Number = jm.parameter("mS/cm^2", "conductance", default=0.1)

    def kinetics(self, v: Any, states: Any, env: Any) -> dict[str, jm.Rates]:
        rate, open_ = 1 / 25.0, 1 / (1 + jnp.exp((v + 80.0) / 8.0))
        return {"m": jm.Rates(rate * open_, rate * (1 - open_))}

    def fluxes(self, v: Any, states: Any, env: Any) -> dict[str, jm.Current]:
        g = self.g * states["m"]
        return {"k": jm.Current(g * (v + 30.0), g)}


def passive_cell(g: Any = 0.1, **more: jm.Mechanism) -> jm.Membrane:
    """A resistor at -65 mV beside a capacitor of 1 uF/cm^2, on a sphere of 10 um."""
    return jm.Membrane({"leak": jm.Leak(g=g, e=-65.0, ion="k"), **more}, {"k": jm.Species(140.0, 5.0, valence=1)},
                       geometry=jm.Sphere(10.0), initial_v=-65.0)  # fmt: skip


def traced(cell: jm.Membrane, duration: float, amplitude: Any, start: float, stop: float, **how: Any) -> jm.Simulation:
    step = jm.StepCurrent(amplitude=amplitude, start=start, stop=stop)
    how = {"dt": DT, "precision": "float64", "record": jm.Record("v", how.get("dt", DT))} | how
    return jm.simulate(cell, duration, stimulus=step, **how)


def sampled(*points: tuple[float, float], dt: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """A voltage of straight pieces between (time, v), and its times."""
    t, v = np.array(points).T
    time = np.arange(round(t[-1] / dt) + 1) * dt
    return np.interp(time, t, v), time


# ---------------------------------------------------------------------- eFEL on the same trace
def of_efel(v: np.ndarray, time: np.ndarray, names: list[str], onset: float, offset: float, **more: float) -> dict:
    efel.reset()
    efel.set_setting("interp_step", float(time[1] - time[0]))
    trace = {"T": time, "V": v, "stim_start": [onset], "stim_end": [offset], **{k: [x] for k, x in more.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eFEL deprecates some of its names, and warns where there is nothing
        return efel.get_feature_values([trace], names)[0]


def assert_as_efel(v: np.ndarray, time: np.ndarray, onset: float, offset: float) -> set[str]:
    """All that eFEL has a number for; returns which."""
    names = [n for n in [*EFEL, "voltage_base", "sag_amplitude"] if n != "ohmic_input_resistance_vb_ssse"]
    ours = jm.measure_trace(v, time, names, onset=onset, offset=offset)
    theirs = {k: x for k, x in of_efel(v, time, names, onset, offset).items() if x is not None and len(x)}
    for name, x in theirs.items():
        expected = x[:20] if name == "peak_time" else np.mean(x)
        found = ours[name][: len(x)] if name == "peak_time" else ours[name]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10, err_msg=name)
    for name in set(names) - set(theirs):
        assert np.isnan(ours[name]).all(), name
    return set(theirs)


@pytest.fixture(scope="module")
def squid() -> jm.Simulation:
    return traced(jm.presets.hodgkin_huxley_1952(), LENGTH, 10.0, 20.0, 220.0)


def test_squid_as_in_efel(squid: jm.Simulation) -> None:
    assert len(assert_as_efel(squid.traces["v"], squid.time, 20.0, 220.0)) >= 22


def test_every_spike_as_in_efel(squid: jm.Simulation) -> None:
    """A train that adapts in height: spike by spike, not on average."""
    names = [
        "AP_amplitude",
        "AP_begin_voltage",
        "AP_duration_half_width",
        "min_AHP_values",
        "AHP_depth",
        "peak_voltage",
    ]
    asked = {n: EFEL[n](of="each", count=30) for n in names}
    ours = jm.measure_trace(squid.traces["v"], squid.time, asked, onset=20.0, offset=220.0)
    theirs = of_efel(squid.traces["v"], squid.time, names, 20.0, 220.0)
    for name in names:
        n = len(theirs[name])
        assert n >= 13 and np.ptp(theirs[name][:2]) > 0 and np.isnan(ours[name][n:]).all()
        np.testing.assert_allclose(ours[name][:n], theirs[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("preset", ["pumped_neuron", "textbook_neuron"])
def test_cortical_trains_as_in_efel(preset: str) -> None:
    run = traced(getattr(jm.presets, preset)(), LENGTH, np.array([2.0, 6.0, 0.2]), 40.0, 200.0)
    found = [assert_as_efel(np.array(run.traces["v"][:, i]), run.time, 40.0, 200.0) for i in range(3)]
    assert len(found[1]) >= 22 and "AP_amplitude" not in found[2]


def test_sag_as_in_efel() -> None:
    run = traced(passive_cell(h=HCurrent()), LENGTH, -3.0, 60.0, 190.0)
    found = assert_as_efel(run.traces["v"], run.time, 60.0, 190.0)
    assert {"sag_amplitude", "sag_ratio1", "decay_time_constant_after_stim", "voltage_deflection"} <= found
    ours = jm.measure_trace(run.traces["v"], run.time, ["sag_amplitude", "sag_ratio"], onset=60.0, offset=190.0)
    assert ours["sag_amplitude"] > 2.0 and 0.05 < ours["sag_ratio"] < 0.9
    area = float(run.membrane.geometry.area)
    current = -3.0 * area * 1e-2  # pA
    theirs = of_efel(
        run.traces["v"], run.time, ["ohmic_input_resistance_vb_ssse"], 60.0, 190.0, stimulus_current=current * 1e-3
    )
    given = jm.measure_trace(
        run.traces["v"], run.time, {"r": passive.InputResistance(current=current)}, onset=60.0, offset=190.0
    )
    np.testing.assert_allclose(given["r"], theirs["ohmic_input_resistance_vb_ssse"][0], rtol=1e-9)


ABF = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "171116sh_0018.abf"
if ABF.exists() and importlib.util.find_spec("pyabf"):

    @pytest.mark.parametrize("sweep", [0, 2, 8, 16])
    def test_a_recording_as_in_efel(sweep: int) -> None:
        """Noise, and samples on thresholds: digitised voltages can lie on one exactly, so it is set between two steps."""
        import pyabf

        abf = pyabf.ABF(str(ABF))
        abf.setSweep(sweep)
        onset, offset = (abf.sweepEpochs.p1s[2] / 20.0, abf.sweepEpochs.p2s[2] / 20.0)
        v = np.asarray(abf.sweepY, float)[:17_000] + 1e-5
        names = ["Spikecount", "peak_time", "peak_voltage", "min_AHP_values", "AHP_depth_from_peak", "ISI_CV"]
        names += ["doublet_ISI", "time_to_first_spike", "AP_begin_voltage"]
        time = np.arange(v.size) / 32  # as if 32 kHz, for edges that eFEL's summed times hit
        ours = jm.measure_trace(v, time, names, onset=onset * 20 / 32, offset=offset * 20 / 32)
        theirs = of_efel(v, time, names, onset * 20 / 32, offset * 20 / 32)
        assert theirs["Spikecount"][0] == ours["Spikecount"]
        for name, x in theirs.items():
            if x is not None and len(x):
                expected = x[:20] if name == "peak_time" else np.mean(x)
                found = ours[name][: len(x)] if name == "peak_time" else ours[name]
                np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=f"{name} of sweep {sweep}")


# ---------------------------------------------------------------------- closed forms
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_resistor_and_a_capacitor(precision: str) -> None:
    """tau = C/g and R = 1/(g A) per cell; no sag; voltage falls by I/g."""
    g = np.array([0.05, 0.1, 0.2])
    cell = passive_cell(g)
    names = ["input_resistance", "time_constant", "sag_amplitude", "sag_ratio", "voltage_base", "steady_voltage"]
    run = traced(cell, 460.0, -1.0, 100.0, 400.0, precision=precision, measures=names, record=())
    found, close = run.measures, 2e-4 if precision == "float32" else 2e-5
    np.testing.assert_allclose(found["input_resistance"], 1e5 / (g * float(cell.geometry.area)), rtol=close)
    np.testing.assert_allclose(found["time_constant"], 1.0 / g, rtol=20 * close)
    np.testing.assert_allclose(found["voltage_base"], -65.0, rtol=1e-6)
    np.testing.assert_allclose(found["steady_voltage"], -65.0 - 1.0 / g, rtol=1e-5)
    again = traced(cell, 460.0, -1.0, 100.0, 400.0, precision=precision, record=(),
                   measures={"half": jm.measures.SteadyVoltage(window=(100.0, 110.0))})  # fmt: skip
    swing = np.exp(-9.0 * g) - np.exp(-10.0 * g)  # mean of an exponential over the last of ten ms, g = 1/tau
    np.testing.assert_allclose(again.measures["half"], -65.0 - (1 - swing / g) / g, rtol=2e-4)
    assert (abs(found["sag_amplitude"]) < 1e-3).all() and (abs(found["sag_ratio"]) < 1e-4).all()


def spikes_at(times: np.ndarray, dt: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Triangles from -60 to 40 mV: 100 mV/ms up, 50 down; 0 mV is crossed at ``times``."""
    corners = [(0.0, -60.0)]
    for t in times:
        corners += [(t - 0.6, -60.0), (t + 0.4, 40.0), (t + 2.4, -60.0)]
    return sampled(*corners, (times[-1] + 5.0, -60.0), dt=dt)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_periodic_train(dtype: Any) -> None:
    """Times between samples, to a hundredth of the sampling interval and better."""
    period, close = 12.3456, 2e-5 if dtype == np.float32 else 1e-9
    times = 5.4321 + period * np.arange(8)
    v, time = spikes_at(times)
    names = ["isi_mean", "isi_first", "isi_cv", "adaptation", "spike_times", "spike_count", "latency", "burst_count"]
    found = jm.measure_trace(v.astype(dtype), time, names, onset=3.0, offset=100.0)
    assert found["spike_count"] == 8 and found["burst_count"] == 0
    np.testing.assert_allclose(found["spike_times"][:8], times, rtol=close)
    assert np.isnan(found["spike_times"][8:]).all()
    np.testing.assert_allclose([found["isi_mean"], found["isi_first"]], period, rtol=close)
    np.testing.assert_allclose(found["latency"], times[0] - 3.0, rtol=close)
    assert abs(found["isi_cv"]) < 10 * close and abs(found["adaptation"]) < 10 * close


def test_a_train_that_slows_down() -> None:
    """Intervals in geometric progression: each pair adds (q - 1)/(q + 1); the CV is NumPy's."""
    intervals = 8.0 * 1.25 ** np.arange(6)
    v, time = spikes_at(5.0 + np.concatenate([[0.0], np.cumsum(intervals)]))
    asked = {"a": trains.Adaptation(skip=0), "b": trains.Adaptation(), "cv": trains.IntervalCV(skip=1)}
    found = jm.measure_trace(v, time, asked)
    np.testing.assert_allclose([found["a"], found["b"]], 0.25 / 2.25, rtol=1e-9)
    np.testing.assert_allclose(found["cv"], np.std(intervals[1:], ddof=1) / np.mean(intervals[1:]), rtol=1e-9)


def test_the_shape_of_triangles() -> None:
    """Height 100 mV, half-way 0.5 ms from its foot and 1 ms from its end; 60 mV of the foot lie below a threshold of 0."""
    v, time = spikes_at(np.array([10.0, 30.0, 50.0]))
    names = ["spike_amplitude", "spike_width", "spike_threshold", "spike_peak", "afterhyperpolarisation"]
    found = jm.measure_trace(v, time, names, onset=5.0)
    expected = {"spike_amplitude": 100.0, "spike_width": 1.5, "spike_threshold": -60.0, "spike_peak": 40.0}
    for name, x in expected.items():
        np.testing.assert_allclose(found[name], x, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(found["afterhyperpolarisation"], 0.0, atol=1e-9)
    half = jm.measure_trace(v, time, {"w": SpikeWidth(reach=1.0)}, onset=5.0)
    assert np.isnan(half["w"])  # the rising flank is out of reach


def test_which_spike_is_told() -> None:
    corners = [(0.0, -60.0)]
    for t, top in ((10.0, 20.0), (30.0, 30.0), (50.0, 10.0)):
        corners += [(t, -60.0), (t + 1, top), (t + 3, -70.0)]
    v, time = sampled(*corners, (80.0, -60.0))
    kinds = {of: SpikeAmplitude(of=of, count=4) for of in ("mean", "first", "last", "each")}
    found = jm.measure_trace(v, time, kinds)
    np.testing.assert_allclose(found["each"][:3], [80.0, 90.0, 70.0], rtol=1e-9)
    assert found["first"] == found["each"][0] and found["last"] == found["each"][2]
    np.testing.assert_allclose(found["mean"], found["each"][:3].mean(), rtol=1e-12)
    later = jm.measure_trace(
        v, time, {"a": SpikeAmplitude(window=(20.0, 40.0)), "n": trains.SpikeCount(window=(20.0, 40.0))}
    )
    np.testing.assert_allclose([later["a"], later["n"]], [90.0, 1.0], rtol=1e-9)


def test_bursts() -> None:
    """Three spikes 4 ms apart make one; two do not; a lone spike does not."""
    times = np.array([5.0, 9.0, 13.0, 40.0, 44.0, 80.0, 100.0, 104.0, 108.0, 112.0])
    v, time = spikes_at(times)
    asked = {"b": trains.BurstCount(), "pairs": trains.BurstCount(least=2), "none": trains.BurstCount(gap=3.0)}
    assert {k: float(x) for k, x in jm.measure_trace(v, time, asked).items()} == {"b": 2, "pairs": 3, "none": 0}


def test_more_spikes_than_asked_for() -> None:
    times = 5.0 + 10.0 * np.arange(9)
    v, time = spikes_at(times)
    found = jm.measure_trace(np.stack([v, v - 200.0], 1), time, {"t": SpikeTimes(count=4)})["t"]
    assert found.shape == (4, 2) and np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(found[:, 0], times[:4], rtol=1e-9)


# ---------------------------------------------------------------------- on line as from a recording
@pytest.mark.slow
def test_the_same_on_line_as_from_the_trace() -> None:
    """Of a run whose steps do not begin at 0."""
    cell, amplitude = jm.presets.pumped_neuron(), np.array([0.0, 1.0, 3.0, 8.0])
    step = jm.StepCurrent(amplitude=amplitude, start=20.0, stop=70.0)
    begun = eqx.tree_at(lambda s: s.step, cell.initial_state(), np.int32(10.0 / DT))
    run = jm.simulate(
        cell, 80.0, dt=DT, stimulus=step, precision="float64", record=jm.Record("v", DT), measures=OF_V, initial=begun
    )  # fmt: skip
    v = np.concatenate([np.full((1, 4), begun.v, run.traces["v"].dtype), run.traces["v"]])
    time = np.concatenate([[10.0], run.time])
    again = jm.measure_trace(v, time, OF_V, onset=20.0, offset=70.0)
    assert run.measures["spike_count"].max() > 3 and run.measures["spike_times"].shape == (20, 4)
    for name in OF_V:
        np.testing.assert_allclose(run.measures[name], again[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.slow
def test_company_and_order_change_nothing() -> None:
    random = np.random.default_rng(3)
    base = jm.presets.pumped_neuron()
    cells = base.with_parameters({"k_leak.g": base.parameters()["k_leak.g"].value * random.uniform(0.7, 1.3, 300)})
    names = ["spike_times", "spike_width", "input_resistance"]
    step, order = jm.StepCurrent(amplitude=4.0, start=5.0, stop=35.0), random.permutation(300)
    one, other, few = (
        jm.simulate(c, 40.0, stimulus=step, precision="float32", measures=names)
        for c in (cells, cells[order], cells[order[:7]])
    )
    for name in names:
        assert np.array_equal(one.measures[name][..., order], other.measures[name], equal_nan=True)
        assert np.array_equal(one.measures[name][..., order[:7]], few.measures[name], equal_nan=True)


# ---------------------------------------------------------------------- what flows
class Moved(jm.Measure):
    """All charge by species, folded from the steps."""

    unit: ClassVar[str] = "nC/cm^2"
    names: tuple[str, ...] = eqx.field(static=True, default=("na", "k", "cl", "electrode"))

    def init(self, v: jax.Array) -> Any:
        return {name: jnp.zeros_like(v) for name in self.names}

    def update(self, fold: Any, view: Any) -> Any:
        return {name: x + view.charge(name) for name, x in fold.items()}

    def result(self, fold: Any, run: Any) -> Any:
        return {name: np.asarray(x, float) for name, x in fold.items()}


def test_the_flow_of_the_steps_is_the_change_of_the_book() -> None:
    step = jm.StepCurrent(amplitude=np.array([0.0, 5.0]), start=3.01, stop=20.0)
    run = jm.simulate(jm.presets.pumped_neuron(), 30.0, stimulus=step, precision="float64", measures={"m": Moved()})
    for name in Moved().names:
        np.testing.assert_allclose(
            run.measures[f"m.{name}"], np.asarray(run.final_state.book[name]), rtol=1e-9, atol=1e-9
        )
    np.testing.assert_allclose(run.measures["m.electrode"], [0.0, 5.0 * 16.99], rtol=1e-12)


def test_the_electrode_s_current() -> None:
    """Outward positive; steps that a window cuts do not count."""
    cell, wide = passive_cell(), (10.0, 20.0)
    asked = {
        "low": PeakInwardCurrent(window=(5.0, 15.0)), "high": PeakOutwardCurrent(window=(5.0, 15.0)),
        "inside": PeakInwardCurrent(window=wide), "steady": SteadyCurrent(window=wide),
        "half": SteadyCurrent(window=(5.0, 15.0), part=1.0),
        "late": PeakOutwardCurrent(window=(40.0, 50.0)),
    }  # fmt: skip
    run = traced(cell, 30.0, np.array([2.0, -3.0]), 10.0, 20.0, measures=asked, record=())
    expected = {
        "low": [0, -3],
        "high": [2, 0],
        "inside": [2, -3],
        "steady": [2, -3],
        "half": [1, -1.5],
        "late": [np.nan] * 2,
    }
    for name, x in expected.items():
        np.testing.assert_allclose(run.measures[name], x, rtol=1e-12, err_msg=name)


@pytest.mark.slow
def test_what_a_spike_costs() -> None:
    """The same from the books of a run with and one without the stimulus: the sodium that came in more, over 3."""
    cell = jm.presets.pumped_neuron()
    start = jm.resting_state(cell).state
    step = jm.StepCurrent(amplitude=np.array([0.0, 20.0]), start=30.0, stop=32.0)
    asked = {"cost": ATPPerSpike(species="na"), "n": trains.SpikeCount()}
    run = jm.simulate(cell, 100.0, stimulus=step, precision="float64", measures=asked, initial=start)
    quiet, loud = np.asarray(run.final_state.book["na"])
    assert run.measures["n"].tolist() == [0.0, 1.0] and np.isnan(run.measures["cost"][0])
    np.testing.assert_allclose(run.measures["cost"][1], (quiet - loud) / FARADAY * 1e3 / 3, rtol=1e-6)
    # at the least the charge of the upstroke: 1 uF/cm^2 * 100 mV is 1.04 pmol/cm^2 of sodium, a third of it ATP
    assert 0.3 < run.measures["cost"][1] < 3.0


def test_pump_cycles_and_their_energy() -> None:
    run = jm.simulate(
        jm.presets.pumped_neuron(), 50.0, precision="float64", measures=["atp", "pump_turnover", "energy_per_second"]
    )
    atp, area = run.measures["atp"], float(run.membrane.geometry.area)
    charge = float(run.final_state.book["atp"])  # nC/cm^2 in 50 ms
    np.testing.assert_allclose(
        run.measures["pump_turnover"], charge * 1e-9 / FARADAY * AVOGADRO * area * 1e-8 / 0.05, rtol=1e-9
    )
    np.testing.assert_allclose(run.measures["energy_per_second"], atp * 50.0, rtol=1e-12)


# ---------------------------------------------------------------------- one's own, in files, and what is wrong
OWN = """
import jax.numpy as jnp
import numpy as np
import jaxmem as jm


class Rebound(jm.Measure):
    unit, description = "mV", "highest voltage above a level"
    level: float = -60.0

    def init(self, v):
        return jnp.zeros_like(v)

    def update(self, fold, view):
        return jnp.maximum(fold, view.v_after - self.level)

    def result(self, fold, run):
        return np.asarray(fold, float)
"""
EXPERIMENT = """
question = "What do measures of a file say?"

[membrane]
preset = "pumped_neuron"

[population]
cells = 3

[population.vary]
stimulus.amplitude = { distribution = "values", values = [0, 3, 8] }

[stimulus]
kind = "step"
amplitude = 0
start = 10
stop = 50

[run]
duration = 60
dt = 0.05

[output]
measures = %s
"""


@pytest.fixture
def written(tmp_path: pathlib.Path) -> Any:
    def write(measures: str) -> pathlib.Path:
        (tmp_path / "lab_of_measures.py").write_text(OWN)
        path = tmp_path / "experiment.toml"
        path.write_text(EXPERIMENT % measures)
        return path

    return write


FILE = """[
  "spike_count", "AP_amplitude", "lab_of_measures:Rebound",
  { measure = "lab_of_measures:Rebound", level = -70.0, name = "higher" },
  { measure = "spike_times", count = 5, threshold = "-0.02 V", window = ["0.01 s", "40 ms"], name = "times" },
  { measure = "atp_per_spike", species = "na" },
]"""


def test_measures_in_a_file(written: Any, tmp_path: pathlib.Path) -> None:
    e = jm.experiment.load(written(FILE))
    assert list(e.measures) == ["spike_count", "AP_amplitude", "rebound", "higher", "times", "atp_per_spike"]
    run = e.run()
    times, spikes = run.measures["times"], run.measures["spike_count"]
    assert times.shape == (5, 3) and spikes[2] > 2
    assert np.nanmax(times) < 40.0 and np.nanmin(times) > 10.0
    np.testing.assert_allclose(run.measures["higher"][1:], run.measures["rebound"][1:] + 10.0, rtol=1e-5)
    # through a file and back
    xarray = pytest.importorskip("xarray")
    run.save(tmp_path / "run.h5")
    again = jm.load(tmp_path / "run.h5")
    assert np.array_equal(again.measures["times"], times, equal_nan=True) and again.measured["times"].unit == "ms"
    with xarray.open_dataset(tmp_path / "run.h5", engine="h5netcdf") as data:
        assert data["times"].dims == ("entry", "cell") and data["times"].attrs["units"] == "ms"
    assert summary(tmp_path / "run.h5").measures["times"].count == np.isfinite(times).any(0).sum()
    # on paper
    rows = {row.name: row.values for row in report.rows(run)}
    assert np.array_equal(rows["times, how many"], np.isfinite(times).sum(0))
    assert np.array_equal(rows["times, the first"], times[0], equal_nan=True)


def test_measures_with_entries_are_drawn(written: Any) -> None:
    from jaxmem import plots

    run = jm.experiment.load(written('["spike_times"]')).run()
    figure = plots.distributions(run, measures=["spike_times"])
    assert "first of spike times" in figure.axes[0].get_xlabel()
    plots.map_of(run, measure="spike_times")


def test_a_dry_run_with_measures_of_one_s_own(written: Any) -> None:
    done = click.testing.CliRunner().invoke(cli, ["simulate", str(written(FILE)), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "rebound, higher, times" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('"spike_tines"', "there is no measure 'spike_tines'; did you mean 'spike_times'"),
        ('{ measure = "spike_times", cuont = 3 }', "there is no key 'cuont' here; did you mean 'count'?"),
        ('{ measure = "spike_times", threshold = "3 ms" }', "mV"),
        ('{ measure = "spike_times", count = 0 }', "count is a whole number of at least 1; found 0"),
        ('{ measure = "isi_cv", window = ["3 ms"] }', "window: found 1 values; two are wanted"),
        ('{ measure = "isi_cv", window = [5, 3] }', "a window stops after it starts; found 5 to 3 ms"),
        ('{ name = "x" }', "a name is wanted, or a table such as"),
        ('"atp_per_spike"', "species"),
        ('{ measure = "atp_per_spike", species = "li" }', "this membrane has no species 'li'"),
        ('"nowhere_at_all:Rebound"', "cannot be imported"),
        ('"lab_of_measures:Rebuond"', "has no 'Rebuond'"),
        ('"spike_count", { measure = "spike_count", threshold = 3, name = "spike_count" }', "two measures are called"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(written: Any, entry: str, said: str) -> None:
    with pytest.raises(jm.ExperimentError, match=r"output\.measures") as caught:
        jm.experiment.load(written(f"[{entry}]"))
    assert said in str(caught.value) and len(caught.value.problems) == 1


def test_a_trace_does_not_tell_currents() -> None:
    v, time = spikes_at(np.array([5.0]))
    with pytest.raises(ValueError, match="pass it to"):
        jm.measure_trace(v, time, ["steady_current"])
    given = jm.measure_trace(v, time, ["steady_current"], current=np.full(time.shape, 2.5))
    np.testing.assert_allclose(given["steady_current"], 2.5, rtol=1e-9)
    with pytest.raises(ValueError, match="evenly spaced"):
        jm.measure_trace(v, time**2, ["spike_count"])
    with pytest.raises(ValueError, match="two measures would be called"):
        jm.measure_trace(v, time, [SpikeTimes(), SpikeTimes(count=3)])
    with pytest.raises(ValueError, match="nothing carries 'xe'"):
        jm.simulate(passive_cell(), 1.0, measures={"m": Moved(names=("xe",))})
