"""The store: what comes out of a file is what went in, and a file is there whole or not at all."""

import dataclasses
import importlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import equinox as eqx
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxmem as jm
from jaxmem.engine.simulation import Measured
from jaxmem.study import files
from jaxmem.study.layout import Axes
from jaxmem.study.store import StoreError, check_target, load, save, summary, to_xarray

DT = 0.025
CELLS = 5
GROUPS = ("parameters", "stimulus", "initial_state", "final_state")


def population() -> jm.Membrane:
    """Cells whose numbers are of every kind a user may give."""
    return jm.presets.pump_leak().with_parameters({
        "k_leak.g": np.linspace(0.03, 0.07, CELLS),
        "na_leak.g": np.linspace(0.008, 0.012, CELLS).astype(np.float32),
        "pump.i_max": jnp.linspace(1.0, 1.4, CELLS, dtype=jnp.float32),
        "cl_leak.g": np.float32(0.05),
        "capacitance": 1,
    })  # fmt: skip


def population_run() -> jm.Simulation:
    return jm.simulate(
        population(),
        12.0,
        dt=DT,
        stimulus=jm.StepCurrent(amplitude=np.linspace(-1, 1, CELLS), start=2.0, stop=9.0),
        record=[jm.Record(["v", "k.inside"], every=0.5), jm.Record("v", every=1.0, cells=[1, 3], name="detail")],
        measures=["maximum_v", "resting_potential"],
        precision="float32",
    )


def single_run() -> jm.Simulation:
    return jm.simulate(
        jm.presets.hodgkin_huxley_1952(),
        12.0,
        dt=DT,
        stimulus=jm.ConstantCurrent(amplitude=10.0),
        record=jm.Record(["v", "sodium.m"], every=0.5),
        measures=["spike_count"],
        precision="float64",
    )


@pytest.fixture(scope="module")
def some() -> jm.Simulation:
    return population_run()


@pytest.fixture(scope="module")
def single() -> jm.Simulation:
    return single_run()


@pytest.fixture(params=["some", "single"])
def simulation(request: pytest.FixtureRequest) -> jm.Simulation:
    return request.getfixturevalue(request.param)


def bare(like: jm.Simulation, duration: float, initial: jm.State | None = None) -> jm.Simulation:
    """The same run, or a piece of it, without records and measures."""
    return jm.simulate(
        like.membrane, duration, dt=like.dt, stimulus=like.stimulus, initial=initial, precision=like.precision
    )


def tiled(simulation: jm.Simulation, cells: int, samples: int = 25) -> jm.Simulation:
    """A result of many cells, from one of few: its cells again and again, and a trace of all of them."""
    again = np.arange(cells) % CELLS
    many = lambda x: x[..., again] if np.ndim(x) else x
    trace = dataclasses.replace(
        simulation.recorded["v"],
        values=np.random.default_rng(0).normal(size=(samples, cells)).astype(np.float32),
        time=np.arange(float(samples)),
        cells=np.arange(cells),
    )
    return dataclasses.replace(
        simulation,
        membrane=simulation.membrane[again],
        stimulus=None,
        initial_state=jax.tree.map(many, simulation.initial_state),
        final_state=jax.tree.map(many, simulation.final_state),
        recorded={"v": trace},
        measured={k: dataclasses.replace(m, values=many(m.values)) for k, m in simulation.measured.items()},
        audit=jm.Audit(many(simulation.audit.charge), many(simulation.audit.mass)),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"


def assert_same(a, b) -> None:
    """Equal trees: classes, order of dictionaries, types of numbers, and every bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, jax.Array | np.ndarray | np.generic):
        x, y = np.asarray(a), np.asarray(b)
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
    elif dataclasses.is_dataclass(a):
        for f in dataclasses.fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name))
    else:
        assert a == b or a != a


def python(code: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What another process prints."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    told = subprocess.run(command, env=env, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told.stdout


# ---------------------------------------------------------------------- what went in comes out
def test_everything_comes_back_bit_for_bit(simulation, path):
    simulation.save(path)
    loaded = jm.load(path)
    assert_same(loaded, simulation)
    assert jax.tree.structure(loaded.membrane) == jax.tree.structure(simulation.membrane)
    assert jax.tree.structure(loaded.final_state) == jax.tree.structure(simulation.final_state)


def test_a_loaded_run_runs_again_and_goes_on_to_the_same_bits(simulation, path):
    cut = 4.175  # ms: no multiple of the refresh or the sampling interval
    bare(simulation, cut).save(path)
    loaded = jm.load(path)
    rest = bare(loaded, simulation.duration - cut, loaded.final_state)
    assert_same(rest.final_state, simulation.final_state)
    assert_same(bare(loaded, simulation.duration, loaded.initial_state).final_state, simulation.final_state)


def test_files_of_either_precision_serve_a_process_without_64_bits(some, single, tmp_path):
    """Single precision runs again to the same bits; double precision keeps its digits, as NumPy arrays."""
    some.save(tmp_path / "float32.h5")
    single.save(tmp_path / "float64.h5")
    code = f"""
        import jax, numpy as np, jaxmem as jm
        assert not jax.config.jax_enable_x64
        old = jm.load({str(tmp_path / "float32.h5")!r})
        assert isinstance(old.final_state.v, jax.Array) and isinstance(old.membrane.mechanisms["pump"].i_max, jax.Array)
        new = jm.simulate(old.membrane, old.duration, dt=old.dt, stimulus=old.stimulus, initial=old.initial_state)
        for x, y in zip(jax.tree.leaves(old.final_state), jax.tree.leaves(new.final_state), strict=True):
            assert x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        double = jm.load({str(tmp_path / "float64.h5")!r})
        print(float(double.final_state.v).hex(), double.final_state.v.dtype)
    """
    environment = {k: v for k, v in os.environ.items() if k != "JAX_ENABLE_X64"}
    told = python(code, env=environment)
    assert told.split() == [float(single.final_state.v).hex(), "float64"]


def test_a_single_cell_has_no_cell_axis(single, path):
    single.save(path)
    loaded = jm.load(path)
    assert loaded.membrane.cells is None
    assert loaded.traces["v"].shape == loaded.time.shape
    assert loaded.final_state.v.shape == loaded.measures["spike_count"].shape == loaded.status.shape == ()
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert dict(found.sizes) == {"time": single.time.size}
    assert summary(path).cells is None


def test_names_that_collide_come_back_as_they_were(some, path):
    given = dataclasses.replace(
        some,
        measured={name: Measured(np.arange(float(CELLS)), "mV", name) for name in ("v", "time", "status", "a/b", "")},
    )
    given.save(path)
    assert_same(load(path).measured, given.measured)
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert {"v", "measure_v", "measure_time", "measure_status", "a_b"} < set(found.data_vars)
        assert found.v.dims == ("time", "cell")


def test_a_run_without_records_measures_and_stimulus(some, path):
    dataclasses.replace(some, stimulus=None, recorded={}, measured={}).save(path)
    loaded = load(path)
    assert loaded.stimulus is None and not loaded.recorded and not loaded.measured


def test_compartments_lie_before_the_cells():
    axes = Axes(CELLS)
    assert axes.of(np.zeros((3, CELLS)), True) == ("compartment", "cell")
    assert axes.of(np.zeros((4, CELLS)), True) == ("compartment_2", "cell")
    assert axes.of(np.zeros(CELLS), False) == (f"axis0_{CELLS}",)
    assert axes.of(np.zeros((4, 4)), False) == ("axis0_4", "axis1_4")


# ---------------------------------------------------------------------- what others see
def test_xarray_opens_it_with_coordinates_and_units(some, path):
    save(some, path, attributes={"title": "A test", "question": "Does it open?"})
    with xr.open_dataset(path, engine="h5netcdf") as found:
        xr.testing.assert_equal(found.load(), to_xarray(some))
        assert found.attrs["Conventions"] == "CF-1.8"
        assert (found.attrs["title"], found.attrs["question"]) == ("A test", "Does it open?")
        assert found.v.dims == ("time", "cell") and found["detail.v"].dims == ("time_detail", "cell_detail")
        assert found.resting_potential.dims == found.status.dims == ("cell",)
        np.testing.assert_array_equal(found.cell_detail, [1, 3])
        np.testing.assert_array_equal(
            found.v.sel(time=4.0, cell=3), found["detail.v"].sel(time_detail=4.0, cell_detail=3)
        )
        assert {found[x].attrs["units"] for x in ("time", "time_detail")} == {"ms"}
        assert found["k.inside"].attrs["units"] == "mmol L-1"
        for name, x in to_xarray(some).variables.items():
            mine = {k: v for k, v in found[name].attrs.items() if not k.startswith("flag")}
            assert mine == {k: v for k, v in x.attrs.items() if not k.startswith("flag")}


def test_every_variable_of_every_group_says_unit_meaning_and_fill_value(some, path):
    some.save(path)
    with h5py.File(path) as file:
        known = [file[name] for name in file if isinstance(file[name], h5py.Dataset)]
        known += [x for group in GROUPS for x in file[group].values()]
        assert len(known) > 100
        for x in known:
            assert x.attrs["units"] and x.attrs["long_name"], x.name
            if x.dtype.kind == "f" and not x.is_scale:
                assert np.isnan(x.attrs["_FillValue"]).all() and x.attrs["_FillValue"].dtype == x.dtype, x.name
            assert all(len(dim.keys()) == 1 for dim in x.dims) or x.is_scale, x.name
    for group in GROUPS:
        with xr.open_dataset(path, engine="h5netcdf", group=group) as found:
            assert found.sizes.get("cell", CELLS) == CELLS


def test_parameters_stand_under_their_paths(some, path):
    some.save(path)
    declared = some.membrane.parameters()
    with h5py.File(path) as file:
        assert set(file["parameters"]) == set(declared)
        for name, (value, unit, description) in declared.items():
            x = file["parameters"][name]
            assert np.asarray(value).tobytes() == x[()].tobytes(), name
            assert x.attrs["units"] == jm.units.cf(unit) and x.attrs["long_name"] == description, name


def test_traces_and_cells_are_compressed_and_checksummed(some, path):
    tiled(some, 300).save(path)
    with h5py.File(path) as file:
        for name in ("v", "status", "parameters/k_leak.g", "final_state/v"):
            x = file[name]
            assert (x.compression, x.compression_opts, x.shuffle, x.fletcher32) == ("gzip", 1, True, True), name


def test_chunks_of_long_traces_are_1000_samples_of_64_cells(some, path):
    tiled(some, 200, samples=2500).save(path)
    with h5py.File(path) as file:
        assert file["v"].chunks == (1000, 64)


def test_failed_cells_are_counted_by_reason(some, path):
    status = np.array([0, 1, 0, 2, 1], np.int32)
    bad = eqx.tree_at(
        lambda s: (s.status, s.failed_at), some.final_state, (status, np.where(status, 40, -1).astype(np.int32))
    )
    measured = {
        "maximum_v": dataclasses.replace(some.measured["maximum_v"], values=np.where(status, np.nan, np.arange(5.0)))
    }
    dataclasses.replace(some, final_state=bad, measured=measured).save(path)
    told = summary(path)
    assert told.status == {"ok": 2, jm.Status.NOT_FINITE.reason: 2, jm.Status.EMPTY_POOL.reason: 1}
    assert (told.measures["maximum_v"].count, told.measures["maximum_v"].median) == (2, 1.0)
    loaded = load(path)
    assert loaded.failures == {jm.Status.NOT_FINITE.reason: 2, jm.Status.EMPTY_POOL.reason: 1}
    np.testing.assert_array_equal(loaded.failed_at, [np.nan, 1.0, np.nan, 1.0, 1.0])
    with xr.open_dataset(path, engine="h5netcdf") as found:
        words = found.status.attrs["flag_meanings"].split()
        assert [words[i] for i in found.status.values] == ["ok", "not_finite", "ok", "empty_pool", "not_finite"]
        np.testing.assert_array_equal(found.failed_at, loaded.failed_at)


def test_the_summary_tells_what_a_reader_wants(some, path):
    text = 'question = "Why µ?"\n' + "# a long experiment\n" * 5000  # more than an attribute of HDF5 may hold
    told = {"seed": 2**70, "preset": "pump_leak", "question": "Why µ?", "varied": ["k_leak.g"], "note": "x" * 70_000}
    some.save(path, experiment=text, attributes=told)
    found = summary(path)
    assert (found.cells, found.start, found.duration, found.dt) == (CELLS, 0.0, 12.0, DT)
    assert (found.precision, found.question, found.preset) == ("float32", "Why µ?", "pump_leak")
    assert found.experiment == text
    assert found.size == path.stat().st_size
    assert set(found.varied) == {"k_leak.g", "na_leak.g", "pump.i_max"}
    assert found.variables["v"].dims == ("time", "cell") and found.variables["v"].shape == (25, CELLS)
    assert found.variables["k.inside"].unit == "mM"
    rest = some.measures["resting_potential"]
    assert found.measures["resting_potential"].median == np.median(rest)
    assert found.measures["resting_potential"].low == np.quantile(rest, 0.05)
    assert found.measures["resting_potential"].high == np.quantile(rest, 0.95)
    assert (found.audit_charge, found.audit_mass) == (some.audit.worst_charge, some.audit.worst_mass)
    assert {k: found.provenance[k] for k in told} == told
    assert {"jaxmem", "jax", "jaxlib", "numpy", "h5py", "python", "created", "device", "seconds"} <= set(
        found.provenance
    )
    with h5py.File(path) as file:
        assert file["provenance"].attrs["preset"] == "pump_leak" and file["provenance/experiment"][()].decode() == text


def test_a_summary_needs_no_jax(some, path):
    some.save(path)
    code = (
        f"import sys; from jaxmem.study.summary import summary; summary({str(path)!r}); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_h5py_is_imported_by_one_module():
    package = Path(jm.__file__).parent
    assert [p.name for p in package.rglob("*.py") if "import h5py" in p.read_text()] == ["hdf5.py"]


def test_ten_thousand_cells_are_saved_quickly(some, path):
    simulation = tiled(some, 10_000)
    began = time.process_time()
    simulation.save(path)
    assert time.process_time() - began < 2.0


# ---------------------------------------------------------------------- mechanisms of users
CHANNEL = """
    import equinox as eqx
    import jax
    import jaxmem as jm

    class Gate(eqx.Module):
        half: jax.Array = jm.parameter("mV", "voltage of half opening", default=-40.0)

    class Mine(jm.Mechanism):
        gate: Gate
        table: jax.Array
        g: jax.Array = jm.parameter("mS/cm^2", "conductance", default=0.1)
        e: jax.Array | None = jm.parameter("mV", "fixed reversal potential", default=None)
        ions: tuple = eqx.field(static=True, default=(("k", 1), ("na", 0.1)))

        def fluxes(self, v, states, env):
            open = self.table[0] / (1 + jax.numpy.exp(self.gate.half - v))
            return {"k": jm.Current(self.g * open * (v - env.e["k"]), self.g * open)}
"""


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A module of a user's, and a run with its mechanism."""
    (tmp_path / "my_channels.py").write_text(textwrap.dedent(CHANNEL))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_channels")
    yield module
    sys.modules.pop("my_channels", None)


def with_mechanism(simulation: jm.Simulation, mechanism: jm.Mechanism) -> jm.Simulation:
    """The same result, said to come from a membrane with one more mechanism: enough to write and read it."""
    old = simulation.membrane
    new = jm.Membrane(
        {"mine": mechanism, **{n: old.mechanisms[n] for n in old.order}}, old.species, carrier=old.carrier
    )
    return dataclasses.replace(simulation, membrane=new)


def test_a_mechanism_of_the_user_comes_back(some, user, path):
    given = with_mechanism(some, user.Mine(gate=user.Gate(half=np.full(CELLS, -35.0)), table=jnp.arange(3.0)))
    given.save(path)
    assert_same(load(path), given)
    with h5py.File(path) as file:
        assert file["parameters/mine.gate.half"].attrs["units"] == "mV"


def test_a_mechanism_that_cannot_be_found_is_named(some, user, path, monkeypatch):
    with_mechanism(some, user.Mine(gate=user.Gate(), table=jnp.arange(3.0))).save(path)
    monkeypatch.delattr(user, "Mine")
    with pytest.raises(StoreError, match=r"Mine is not in the module 'my_channels'"):
        load(path)
    monkeypatch.delitem(sys.modules, "my_channels")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p) / "my_channels.py").exists()])
    with pytest.raises(StoreError, match=r"module 'my_channels', which cannot be imported here.*No module named"):
        load(path)
    assert summary(path).cells == CELLS  # what needs no mechanism can be read all the same


def test_a_mechanism_from_inside_a_function_is_named(some, path):
    class Local(jm.Mechanism):
        g: float = jm.parameter("mS/cm^2", "conductance", default=0.1)

    with_mechanism(some, Local()).save(path)
    with pytest.raises(StoreError, match="defined inside a function"):
        load(path)


class Holder(jm.Mechanism):
    """A mechanism with a function in a field."""

    function: object = eqx.field(static=True, default=len)


def test_what_cannot_be_stored_is_said_when_saving(some, path):
    with pytest.warns(UserWarning, match=r"mine.function is a builtin_function_or_method: this cannot be stored"):
        with_mechanism(some, Holder()).save(path)
    assert summary(path).status == {"ok": CELLS}
    with pytest.raises(StoreError, match=r"mine\.function is a builtin"):
        load(path)


def rewrite(path: Path, change) -> None:
    """Another program edits the text that says how to build the tree."""
    with h5py.File(path, "a") as file:
        index = json.loads(file["structure/index"][()])
        change(index)
        del file["structure/index"]
        file["structure/index"] = json.dumps(index)


def mechanism(index: dict, place: int) -> list:
    return index["trees"]["membrane"]["fields"]["mechanisms"]["$dict"][place]


def set_class(address: str):
    return lambda index: mechanism(index, 0)[1].update({"$class": address})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (set_class("os:system"), "no mechanism"),
        (set_class("subprocess:Popen"), "no mechanism"),
        (set_class("jaxmem.study.store:save"), "no mechanism"),
        (set_class("os;x:system"), "no class"),
        (set_class("jaxmem.membrane.geometry:Sphere"), "which it has not here"),
        (
            lambda i: mechanism(i, 0)[1]["fields"].pop("g_new", None) or mechanism(i, 0)[1]["fields"].update(g_new=1),
            "g_new",
        ),
        (lambda i: mechanism(i, 0).__setitem__(1, 3.0), "is a float, which is none"),
        (lambda i: i["trees"].update(membrane=i["trees"]["stimulus"]), "StepCurrent where a Membrane is wanted"),
        (lambda i: i["trees"].update(final_state=None), "NoneType where a State is wanted"),
        (lambda i: i["recorded"]["v"].update(variable="nothing"), "nothing"),
        (lambda i: i.pop("dt"), "'dt'"),
    ],
)
def test_a_changed_file_is_refused_and_nothing_of_it_is_run(some, path, change, text):
    some.save(path)
    rewrite(path, change)
    with pytest.raises(StoreError, match=text):
        load(path)


def test_a_field_that_came_later_takes_its_default(some, path):
    some.save(path)
    rewrite(path, lambda index: index["trees"]["stimulus"]["fields"].pop("stop"))
    assert load(path).stimulus.stop == np.inf
    rewrite(path, lambda index: index["trees"]["final_state"]["fields"].pop("lag"))
    with pytest.raises(StoreError, match="no 'lag' for State"):
        load(path)


# ---------------------------------------------------------------------- bad files and bad places
def test_a_file_that_exists_is_kept(some, path):
    path.write_text("precious")
    with pytest.raises(FileExistsError, match=r"exists; choose another name or ask to overwrite"):
        some.save(path)
    assert path.read_text() == "precious"
    some.save(path, overwrite=True)
    assert load(path).duration == 12.0


def test_a_file_that_appears_meanwhile_is_kept(some, path, monkeypatch):
    link = os.link
    monkeypatch.setattr(os, "link", lambda a, b: (path.write_text("precious"), link(a, b)))
    with pytest.raises(FileExistsError, match="appeared while"):
        some.save(path)
    assert path.read_text() == "precious" and os.listdir(path.parent) == [path.name]


def test_a_disk_without_links_will_do(some, path, monkeypatch):
    def refuse(*_):
        raise OSError(files.errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    some.save(path)
    assert_same(load(path), some)


def test_places_that_cannot_be_written_to(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"directory .*nowhere does not exist"):
        check_target(tmp_path / "nowhere" / "run.h5")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        check_target(tmp_path, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is not a directory"):
        check_target(tmp_path / "file" / "run.h5")
    with pytest.raises(FileExistsError, match="no ordinary file"):
        check_target("/dev/null", overwrite=True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may be allowed everything
    with pytest.raises(PermissionError, match="nothing can be written to the directory"):
        check_target(tmp_path / "run.h5")


def test_a_link_is_followed(some, tmp_path):
    (tmp_path / "results").mkdir()
    link = tmp_path / "latest.h5"
    link.symlink_to(tmp_path / "results" / "run.h5")
    some.save(link)
    some.save(link, overwrite=True)
    assert link.is_symlink() and load(tmp_path / "results" / "run.h5").duration == 12.0


def test_a_full_disk_leaves_what_was_there(some, path):
    """The kernel itself refuses to let the file grow."""
    some.save(path)
    old = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r"no room for the 0\.\d MB of .*run\.h5") as caught:
            some.save(path, overwrite=True)
        with pytest.raises(OSError, match="no room"):
            some.save(path.with_name("new.h5"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == files.errno.EFBIG
    assert os.listdir(path.parent) == [path.name] and path.read_bytes() == old


def test_a_disk_full_at_the_last_moment(some, path, monkeypatch):
    def full(_):
        raise OSError(files.errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no room"):
        some.save(path)
    assert os.listdir(path.parent) == []


def test_foreign_files_are_named(some, path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(path)
    with pytest.raises(IsADirectoryError):
        load(path.parent)
    for content in (b"", b"time,v\n0,-70\n"):
        path.write_bytes(content)
        with pytest.raises(StoreError, match="is not an HDF5 file"):
            load(path)
    with h5py.File(path, "w") as file:
        file["v"] = np.zeros(3)
    for read in (load, summary):
        with pytest.raises(StoreError, match="not a result of jaxmem"):
            read(path)
    some.save(path, overwrite=True)
    with h5py.File(path, "a") as file:
        file.attrs["jaxmem_format"] = 99
    with pytest.raises(StoreError, match="install a later version"):
        load(path)


def test_a_file_cut_off_anywhere_is_damaged(some, path):
    some.save(path)
    whole = path.read_bytes()
    for length in (8, 100, 5000, len(whole) // 2, len(whole) - files.SEALED - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="damaged"):
            load(path)


def test_a_flipped_bit_anywhere_is_found(some, path):
    some.save(path)
    whole = path.read_bytes()
    rng = random.Random(1)
    for place in [*(rng.randrange(8, len(whole) - files.SEALED) for _ in range(40)), len(whole) - 10]:
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(7)
        path.write_bytes(changed)
        for read in (load, summary):
            with pytest.raises(StoreError, match="damaged: its content is not what was written"):
                read(path)


def test_without_its_seal_a_file_has_the_checksums_of_hdf5(some, path):
    tiled(some, 300).save(path)
    with h5py.File(path, "a") as file:
        file["v"].attrs["comment"] = "by another program"
        chunk = file["v"].id.get_chunk_info(0)
    assert not files.verify(path)
    assert load(path).traces["v"].shape == (25, 300)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged: 'v' cannot be read"):
        load(path)


# ---------------------------------------------------------------------- whole or not at all
def test_killed_at_any_moment_it_is_whole_or_not_there(tmp_path):
    """A process is killed before and after each call that touches the disk, with and without an older file."""
    code = """
        import os, signal, sys
        from jaxmem.study import files

        calls = ("open", "write", "fsync", "close", "link", "replace", "unlink")
        old, new = b"old" * 1000, b"new" * 100_000
        files.PIECE = 100_000
        place, seen = sys.argv[1], set()
        for overwrite in (False, True):
            for last in range(1, 100):
                target = os.path.join(place, f"{overwrite}-{last}")
                if overwrite:
                    files.write_whole(target, old)
                child = os.fork()
                if child == 0:
                    left = last

                    def patch(name):
                        call = getattr(os, name)

                        def killed(*args, **kwargs):
                            global left
                            for after in (False, True):
                                left -= 1
                                if left == 0:
                                    os.kill(os.getpid(), signal.SIGKILL)
                                if not after:
                                    result = call(*args, **kwargs)
                            return result

                        setattr(os, name, killed)

                    for name in calls:
                        patch(name)
                    files.write_whole(target, new, overwrite=overwrite)
                    os._exit(0)
                _, status = os.waitpid(child, 0)
                found = None
                if os.path.exists(target):
                    assert files.verify(target), (overwrite, last)
                    with open(target, "rb") as file:
                        found = file.read()[: -files.SEALED]
                assert found in ((old, new) if overwrite else (None, new)), (overwrite, last)
                seen.add((overwrite, {None: "none", old: "old", new: "new"}[found]))
                if status == 0:
                    assert found == new
                    break
            else:
                raise AssertionError("it never came to its end")
            assert last > 20
        print(sorted(seen))
    """
    told = python(code, str(tmp_path))
    assert told.strip() == str([(False, "new"), (False, "none"), (True, "new"), (True, "old")])


def test_a_process_that_saves_again_and_again_leaves_a_whole_file_when_killed(some, path):
    target = path.with_name("again.h5")
    some.save(path)
    code = f"""
        import jaxmem as jm
        simulation = jm.load({str(path)!r})
        while True:
            simulation.save({str(target)!r}, overwrite=True)
            print("saved", flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert [child.stdout.readline() for _ in range(3)] == ["saved\n"] * 3
        time.sleep(0.03)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert_same(load(target).final_state, some.final_state)
