"""Stimuli: delivered charge, means over steps against quadrature, noise against theory, files and gradients."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import steps_down
from scipy.integrate import quad
from scipy.stats import chi2, norm

import jaxmem as jm
from jaxmem.rig.drive import Moment
from jaxmem.rig.random import Source, key_of, threefry2x32

PI = (0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344)  # counter and key of the third test vector


def delivered(
    stimulus: jm.Stimulus, steps: int, dt: float, cells: int = 1, dtype: Any = "float64", first: int = 0
) -> Any:
    """(steps, cells) mean currents, with the memory carried along."""
    driver, v, cell = stimulus.on_grid(dt), jnp.zeros(cells, dtype), jnp.arange(cells, dtype=jnp.int32)

    @jax.jit
    def run(first: Any) -> Any:
        def one(memory: Any, i: Any) -> Any:
            drive, memory = driver.drive(Moment(i, jnp.asarray(dt, dtype), cell), v, memory)
            return memory, jnp.zeros_like(v) + drive.value

        return jax.lax.scan(one, driver.begin(v, cell), first + jnp.arange(steps, dtype=jnp.int32))[1]

    return np.asarray(run(jnp.int32(first)))


# ---------------------------------------------------------------------- random numbers
@pytest.mark.parametrize(
    ("rounds", "counter", "key", "expected"),
    [  # the known answers of the Random123 library, kat_vectors; doi:10.1145/2063384.2063405
        (13, (0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        (13, (0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0xFD36D048, 0x2D17272C)),
        (13, *PI, (0xBA3E4725, 0xF27D669E)),
        (20, (0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        (20, (0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        (20, *PI, (0xC4923A9C, 0x483DF7A0)),
        (32, (0, 0), (0, 0), (0xCEE3D47E, 0xA23DFD5C)),
        (32, *PI, (0xE2827716, 0xC3C05CDF)),
    ],
)
def test_threefry_gives_the_known_answers(rounds: int, counter: Any, key: Any, expected: Any) -> None:
    found = threefry2x32(key, counter, rounds)
    assert tuple(int(x) for x in found) == expected


def test_normal_numbers_are_normal_and_the_same_in_both_precisions() -> None:
    cells = jnp.arange(200_000, dtype=jnp.int32)
    a, b = (np.asarray(x) for x in Source.of(7).normals(cells, 3, jnp.float64))
    single = np.asarray(Source.of(7).normals(cells, 3, jnp.float32)[0])
    np.testing.assert_allclose(single, a, rtol=2e-5, atol=1e-6)
    for x in (a, b):  # Kolmogorov-Smirnov: one in a thousand good seeds would fail
        ranks = np.arange(1, x.size + 1) / x.size
        assert abs(norm.cdf(np.sort(x)) - ranks).max() < 1.95 / np.sqrt(x.size)
    assert abs(np.corrcoef(a, b)[0, 1]) < 3.3 / np.sqrt(a.size)
    with pytest.raises(ValueError, match="a seed is a whole number"):
        key_of(-1)


# ---------------------------------------------------------------------- charge and means
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dt", [0.025, 0.07, 0.35])
def test_trains_and_ramps_deliver_exactly_their_charge(dt: float, dtype: str) -> None:
    start, width, count = np.array([0.0, 3.013, 7.7]), np.array([0.5, 1.01, 0.06]), np.array([3.0, 7.0, 1.0])
    train = jm.PulseTrain(np.array([1.0, -3.0, 8.0]), width, np.array([10.0, 5.017, 20.0]), start, count)
    tolerance = 1e-12 if dtype == "float64" else 3e-6
    charge = dt * delivered(train, round(70 / dt), dt, 3, dtype).astype(float).sum(0)
    np.testing.assert_allclose(charge, train.amplitude * width * count, rtol=tolerance)
    ramp = jm.Ramp(np.array([4.0, -2.0, 1.0]), start, start + 11.111, initial=np.array([0.0, 1.0, 1.0]))
    charge = dt * delivered(ramp, round(70 / dt), dt, 3, dtype).astype(float).sum(0)
    np.testing.assert_allclose(charge, 11.111 * np.array([2.0, -0.5, 1.0]), rtol=10 * tolerance)


def test_a_pulse_keeps_its_place_for_hours_in_float32() -> None:
    dt, period = 0.025, 1000.0 / 60  # 666.67 steps
    k = 60 * 3600 * 5  # after five hours
    first = int(k * period / dt) - 3
    train = jm.PulseTrain(amplitude=2.0, width=0.11, frequency=60.0)
    found = delivered(train, 12, dt, 1, "float32", first)[:, 0]
    begin = k * period / dt - first  # in float64
    edges = np.clip(np.arange(13)[:, None] - np.array([begin, begin + 0.11 / dt]), 0, None)
    expected = 2.0 * np.diff(np.clip(edges[:, 0] - edges[:, 1], 0, None))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert found.sum() * dt == pytest.approx(0.22, rel=1e-5)


WAVES = {
    "sinusoid": jm.Sinusoid(3.0, 83.0, start=1.013, stop=31.7, phase=40.0, mean=0.5),
    "linear": jm.Chirp(3.0, 5.0, 140.0, start=1.013, stop=31.7, mean=0.5),
    "exponential": jm.Chirp(3.0, 5.0, 140.0, start=1.013, stop=31.7, mean=0.5, sweep="exponential"),
    "ramp": jm.Ramp(3.0, 1.013, 31.7, initial=-1.0),
    "train": jm.PulseTrain(3.0, 1.7, 4.9, start=1.013, count=3),
    "waveform": jm.Waveform(np.random.default_rng(0).normal(size=40), 0.77, scale=2.0, start=1.013),
    "held": jm.Waveform(np.random.default_rng(0).normal(size=40), 0.77, start=1.013, interpolation="step"),
}


@pytest.mark.parametrize("name", WAVES)
def test_means_over_steps_against_quadrature(name: str) -> None:
    stimulus, dt = WAVES[name], 0.13
    found = delivered(stimulus, 300, dt)[:, 0]
    value = lambda t: float(stimulus.at(jnp.asarray(t), jnp.asarray(0.0)).value)
    jumps = [float(e) for e in stimulus.edges]
    if isinstance(stimulus, jm.Waveform):
        jumps += list(1.013 + 0.77 * np.arange(41))
    for i in [*range(5, 12), 60, 120, 200, *range(240, 248), 290]:
        a, b = i * dt, (i + 1) * dt
        inside = [e for e in jumps if a < e < b]
        cuts = [a, *inside, b]
        exact = sum(quad(value, x + 1e-12, y - 1e-12, epsabs=1e-11)[0] for x, y in itertools.pairwise(cuts)) / dt
        assert abs(found[i] - exact) < (2e-6 if isinstance(stimulus, jm.Chirp) else 1e-8), i


def test_phases_last_for_hours_in_float32() -> None:
    dt, first = 0.025, 144_000_000 * 5 - 7  # five hours
    found = delivered(jm.Sinusoid(1.0, 49.37), 40, dt, 1, "float32", first)[:, 0]
    per_step = 49.37e-3 * dt
    n = first + np.arange(40)
    cycles = np.mod(n * np.longdouble(per_step), 1) + 0.5 * per_step
    np.testing.assert_allclose(found, np.sin(2 * np.pi * cycles.astype(float)) * np.sinc(per_step), atol=2e-6)
    chirp = jm.Chirp(1.0, 0.5, np.array([40.0, 50.0]), stop=100_000.0)  # 2525 cycles
    late = 3_999_000
    one, two = (delivered(chirp, 900, dt, 2, d, late) for d in ("float32", "float64"))
    np.testing.assert_allclose(one, two, atol=3e-5)
    t = (late + np.arange(900) + 0.5) * dt * 1e-3
    true = np.sin(2 * np.pi * (0.5 * t[:, None] + 0.5 * (chirp.last - 0.5) / 100 * t[:, None] ** 2))
    np.testing.assert_allclose(two, true, atol=1e-5)


# ---------------------------------------------------------------------- noise
@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_white_noise_does_not_depend_on_dt(dt: float) -> None:
    noise = jm.WhiteNoise(mean=1.5, sd=2.0, over=4.0, seed=11)
    x = delivered(noise, round(40 / dt), dt, 2000)
    mean = x.mean(0)  # over 40 ms: sd 2*sqrt(4/40)
    variance = 4.0 * 4 / 40
    assert abs(mean.mean() - 1.5) < 3.3 * np.sqrt(variance / 2000)
    low, high = chi2.ppf([5e-4, 1 - 5e-4], 1999) / 1999
    assert low < mean.var(ddof=1) / variance < high
    flat = np.mean(abs(np.fft.rfft(x - 1.5, axis=0)[1:-1]) ** 2, 1) * dt / len(x)  # spectral density sd^2*over
    assert abs(flat.mean() / 16.0 - 1) < 3.3 / np.sqrt(2000 * len(flat))
    assert abs(flat / 16.0 - 1).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("dt", [0.05, 2.0])
def test_ornstein_uhlenbeck_against_theory(dt: float) -> None:
    """Variance of the mean over a step, and its autocovariance: integrals of sd^2 exp(-|t|/tau), at any dt."""
    cells, tau, sd = 20_000, 3.0, 1.5
    noise = jm.OrnsteinUhlenbeck(mean=-0.5, sd=sd, tau=np.full(cells, tau), seed=2)
    x = delivered(noise, 5, dt, cells) + 0.5
    z = dt / tau
    variance = sd**2 * 2 * (z - 1 + np.exp(-z)) / z**2
    low, high = chi2.ppf([5e-4, 1 - 5e-4], cells - 1) / (cells - 1)
    for row in (x[0], x[4]):  # stationary from the beginning
        assert abs(row.mean()) < 3.3 * sd / np.sqrt(cells)
        assert low < row.var(ddof=1) / variance < high
    for lag in (1, 4):
        covariance = sd**2 * np.exp(-(lag - 1) * z) * ((1 - np.exp(-z)) / z) ** 2
        assert abs(np.mean(x[0] * x[lag]) - covariance) < 3.3 * sd**2 * np.sqrt(2 / cells)


NOISES = {
    "white": jm.WhiteNoise(2.0, 3.0),
    "coloured": jm.OrnsteinUhlenbeck(2.0, 3.0, 2.0, seed=2**40 + 5),
    "sum": jm.OrnsteinUhlenbeck(2.0, 3.0, 2.0) + jm.WhiteNoise(0.0, 1.0, seed=1) + jm.StepCurrent(1.0, 2.0, 3.0),
    "conductance": jm.ConductanceClamp(jm.OrnsteinUhlenbeck(0.02, 0.01, 2.0), 0.0),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in NOISES])
def test_noise_is_the_same_in_any_block_and_after_a_cut(name: str) -> None:
    cells = jm.presets.pumped_neuron().with_parameters({"k_leak.g": np.linspace(0.04, 0.06, 700)})
    how: dict[str, Any] = dict(stimulus=NOISES[name], precision="float32")
    whole = jm.simulate(cells, 10.0, **how)
    some = [3, 400, 699]
    few = jm.simulate(cells[np.array(some)], 10.0, initial=cells.initial_state(dtype="float32")[np.array(some)], **how)
    part = jm.simulate(cells, 3.325, **how)
    rest = jm.simulate(cells, 6.675, initial=part.final_state, **how)
    same = lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert same(whole.final_state.v, rest.final_state.v) and same(
        whole.final_state.v[np.array(some)], few.final_state.v
    )
    assert all(same(whole.final_state.rig[k], rest.final_state.rig[k]) for k in whole.final_state.rig)
    equal = jm.simulate(jm.presets.pumped_neuron().with_parameters({"k_leak.g": np.full(4, 0.05)}), 5.0, **how)
    assert np.unique(np.asarray(equal.final_state.v)).size == 4  # each cell its own
    assert whole.audit.worst_charge < 1e-4 and whole.audit.worst_mass < 1e-4


# ---------------------------------------------------------------------- all of them
MANY: dict[str, jm.Stimulus] = {
    **WAVES,
    **NOISES,
    "per cell": jm.Waveform(np.arange(60.0).reshape(20, 3) % 7, 0.5, start=np.array([0.0, 1.0, 2.013])),
    "course": jm.CurrentCourse(jm.TimeCourse([1.0, 5.0], [2.0, 0.0], tau=0.7)),
    "pulsed": jm.ConductanceClamp(jm.PulseTrain(0.1, 2.0, 10.0), e=np.array([0.0, -90.0, -70.0])),
}


QUICK = ("exponential", "per cell", "course", "pulsed", "sum")  # the others take a program each, too


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MANY])
def test_every_stimulus_is_audited_and_runs_again_from_a_file(name: str, tmp_path: Any) -> None:
    cells = jm.presets.pump_leak().with_parameters({"k_leak.g": np.array([0.04, 0.05, 0.06])})
    record = jm.Record(["v", "stimulus"], 0.5)
    for precision, limit in (("float64", 1e-12), ("float32", 1e-4)):
        sim = jm.simulate(cells, 12.0, stimulus=MANY[name], precision=precision, record=record)
        assert sim.audit.worst_charge < limit and sim.audit.worst_mass < limit
        assert np.all(sim.status == jm.Status.OK) and np.ptp(sim.traces["stimulus"]) > 0
    sim.save(tmp_path / "s.h5")
    back = jm.load(tmp_path / "s.h5")
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), MANY[name], back.stimulus)
    assert all(jax.tree.leaves(same))
    again = jm.simulate(back.membrane, 12.0, stimulus=back.stimulus, precision="float32", record=record)
    assert again.traces["v"].tobytes() == sim.traces["v"].tobytes()


def test_smooth_stimuli_keep_second_order() -> None:
    squid = jm.presets.get("hodgkin_huxley_1952")
    for stimulus in (jm.Sinusoid(8.0, 70.0), jm.Chirp(8.0, 20.0, 90.0, stop=40.0), jm.Ramp(9.0, 0.0, 20.0)):
        v = [float(jm.simulate(squid, 16.0, dt=dt, stimulus=stimulus).final_state.v) for dt in (0.04, 0.02, 0.01)]
        assert 1.8 < np.log2(abs((v[0] - v[1]) / (v[1] - v[2]))) < 2.3


@pytest.mark.slow
def test_gradient_through_a_ramp() -> None:
    membrane = jm.presets.pump_leak()

    def end(x: Any) -> Any:
        return jm.integrate(
            membrane, membrane.initial_state(), jm.Ramp(x, 1.013, 6.0, initial=0.5 * x), steps=400
        ).final_state.v

    np.testing.assert_allclose(jax.grad(end)(3.0), steps_down(jax.jit(end), 3.0, 1e-2), rtol=1e-7)


def test_sums_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="ideal voltage clamp"):
        jm.VoltageClamp(-60.0) + jm.StepCurrent(1.0)
    with pytest.raises(ValueError, match="one noise twice"):
        jm.WhiteNoise() + jm.OrnsteinUhlenbeck()
    with pytest.raises(ValueError, match="one carrier"):
        jm.StepCurrent(1.0, carrier="k") + jm.StepCurrent(1.0, carrier="cl")
    with pytest.raises(ValueError, match="at most 2\\.5 ms"):
        jm.Sinusoid(1.0, 200.0).on_grid(3.0)
    with pytest.raises(ValueError, match="choose an integrator of fixed steps"):
        jm.WhiteNoise().at(jnp.asarray(0.0), jnp.asarray(0.0))


def test_waveforms_from_files(tmp_path: Any) -> None:
    path = tmp_path / "w.csv"
    path.write_text("t,current\n0.0,1\n0.5,3\n1.0,-1\n")
    found = jm.Waveform.from_csv(path, "current", "nA/cm^2")
    np.testing.assert_allclose(found.values, [1e-3, 3e-3, -1e-3])
    assert found.interval == 0.5
    with pytest.raises(ValueError, match="has no column 'i'; it has t, current"):
        jm.Waveform.from_csv(path, "i", "nA")
    abf = pytest.importorskip("pyabf.abfWriter")
    sweeps = np.arange(4000.0).reshape(2, 2000) % 50
    abf.writeABF1(sweeps, str(tmp_path / "w.abf"), sampleRateHz=20_000, units="pA")
    found = jm.Waveform.from_abf(tmp_path / "w.abf", sweep=1, area=1000.0)
    assert found.interval == 0.05
    np.testing.assert_allclose(found.values, 0.1 * sweeps[1], atol=1e-3)  # 1 pA on 1000 um^2 is 0.1 uA/cm^2
    with pytest.raises(ValueError, match="has no sweep 2"):
        jm.Waveform.from_abf(tmp_path / "w.abf", sweep=2)


# ---------------------------------------------------------------------- experiment files
HEAD = 'question = "?"\n[membrane]\npreset = "pump_leak"\n[membrane.geometry]\narea = 1000\nvolume = 2000\n'
TAIL = "[run]\nduration = 50\ndt = 0.05\n"
TABLES = {
    'kind = "pulse_train"\namplitude = "100 pA"\nwidth = "500 us"\nfrequency = "50 Hz"': jm.PulseTrain(10.0, 0.5, 20.0),
    'kind = "ramp"\namplitude = 3\nstart = 1\nstop = 9': jm.Ramp(3.0, 1.0, 9.0),
    'kind = "sinusoid"\namplitude = 3\nfrequency = "0.01 kHz"': jm.Sinusoid(3.0, 10.0),
    'kind = "chirp"\namplitude = 3\nfirst = 1\nlast = 9\nstart = 0\nstop = 30\nsweep = "exponential"': jm.Chirp(
        3.0, 1.0, 9.0, 0.0, 30.0, sweep="exponential"
    ),
    'kind = "white_noise"\nsd = 2\nseed = 3': jm.WhiteNoise(sd=2.0, seed=3),
    'kind = "ornstein_uhlenbeck"\nsd = 2\ntau = "1 ms"\ncarrier = "k"': jm.OrnsteinUhlenbeck(sd=2.0, tau=1.0, carrier="k"),
    'kind = "conductance"\ng = { kind = "pulse_train", amplitude = "1 nS", width = 1, period = 9 }\ne = -90': (
        jm.ConductanceClamp(jm.PulseTrain(0.1, 1.0, 9.0), -90.0)
    ),
    'kind = "voltage_clamp"\ncommand = { times = [5, "10 ms"], values = [0, -70] }\nholding = -70\n'
    'series_resistance = "10 MOhm"\ncompensation = 0.5\npipette_capacitance = "5 pF"': jm.VoltageClamp(
        jm.TimeCourse([5.0, 10.0], [0.0, -70.0]), -70.0, 0.1, 0.5, 0.5
    ),
    'kind = "waveform"\nsamples = [1, 2, 3]\ninterval = 2.0': jm.Waveform([1.0, 2.0, 3.0], 2.0),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_tables(table: str, tmp_path: Any) -> None:
    path = tmp_path / "e.toml"
    path.write_text(f"{HEAD}[stimulus]\n{table}\n{TAIL}")
    found, expected = jm.experiment.load(path).stimulus, TABLES[table]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected)


def test_a_list_of_tables_is_a_sum_whose_parts_vary(tmp_path: Any) -> None:
    path = tmp_path / "e.toml"
    parts = (
        '[[stimulus]]\nkind = "step"\namplitude = 1\nstart = 1\nstop = 5\n[[stimulus]]\nkind = "white_noise"\nsd = 1\n'
    )
    vary = '[population]\ncells = 3\n[population.vary]\nstimulus.0.amplitude = { distribution = "values", values = [1, 2, 3] }\n'
    path.write_text(HEAD + vary + parts + TAIL)
    found = jm.experiment.load(path)
    assert isinstance(found.stimulus, jm.Sum) and found.stimulus.parts[1].seed == 1
    np.testing.assert_array_equal(found.stimulus.parts[0].amplitude, [1, 2, 3])
    path.write_text(HEAD + parts.replace("sd = 1", 'sd = "1 mV"\ntau = 3\nfoo = 1') + TAIL)
    with pytest.raises(jm.ExperimentError) as error:
        jm.experiment.load(path)
    told = "\n".join(error.value.problems)
    assert "stimulus[1].foo: there is no key 'foo'" in told and "'white_noise' has no tau" in told
    assert dataclasses.is_dataclass(found.stimulus)
