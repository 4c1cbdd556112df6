"""``jaxmem scan`` and what goes with it: from a file to a result, in parts, stopped and gone on with, looked at."""

import pathlib
import time

import numpy as np
import pytest
from scan_kills import datasets
from test_cli import call

import jaxmem as jm
from jaxmem.study.files import StoreError
from jaxmem.study.scanning.executors.base import Executor
from jaxmem.study.scanning.lock import locked
from jaxmem.study.scanning.shards import Folder

EXPERIMENT = """\
question = "Where does a bag with two leaks rest?"

[membrane]
preset = "none"
celsius = 37
geometry = { radius = "10 um" }

[membrane.species]
na = { inside = 12, outside = 145, valence = 1 }
k = { inside = 140, outside = 4, valence = 1 }

[membrane.mechanisms]
na_leak = { type = "Leak", ion = "na", g = 0.02 }
k_leak = { type = "Leak", ion = "k", g = 0.5 }

[scan]
ask = "rest"
design = "grid"
chunk = 20

[scan.axes]
na_leak.g = { low = 0.001, high = 0.5, scale = "log", points = 9 }
k.outside = { low = "2 mM", high = "20 mM", points = 7 }

[scan.regions]
"hyperpolarised" = "v < -80 mV"
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bag.toml").write_text(EXPERIMENT)
    return tmp_path


def chord(scan: jm.Scan) -> np.ndarray:
    """The rest of ohmic leaks in closed form: reversal potentials weighted by conductances, mV."""
    rt_f = 8.31446261815324 * 310.15 / 96485.33212331001 * 1e3
    e_na, e_k = rt_f * np.log(145 / 12), rt_f * np.log(scan["k.outside"] / 140)
    return (scan["na_leak.g"] * e_na + 0.5 * e_k) / (scan["na_leak.g"] + 0.5)


def test_from_a_file_to_a_result(folder: pathlib.Path) -> None:
    said = call("scan", "bag.toml")
    scan = jm.read_scan("bag.h5")
    assert scan.points == 63 and scan.counts == {0: 63}
    np.testing.assert_allclose(scan["v"], chord(scan), atol=1e-9)
    inside = int(np.sum(scan["v"] < -80))
    assert f"{inside:,}" in said and "hyperpolarised" in said and "jaxmem report bag.h5" in said
    assert (folder / "bag.png").stat().st_size > 10_000 and not (folder / "bag.h5.scan").exists()
    assert "nothing was left to do" in call("scan", "bag.toml")
    assert "9 × 7 levels" in call("show", "bag.h5")
    assert "bag with two leaks" in call("show", "bag.h5", "--experiment")
    assert "same bits" in call("verify", "bag.h5", "--sample", "9")
    assert "complete" in call("status", "bag.h5")


def test_a_dry_run_writes_nothing(folder: pathlib.Path) -> None:
    said = call("scan", "bag.toml", "--dry-run", "--set", "scan.axes.k.outside.points=1000", "--chunk", "4096")
    assert "9,000 points" in said and "3 of 4,096 points" in said and "at most" in said
    assert [p.name for p in folder.iterdir()] == ["bag.toml"]


def test_parts_and_what_is_told_of_them(folder: pathlib.Path) -> None:
    said = call("scan", "bag.toml", "--part", "1/2", "--no-figure")
    assert "part 1 of 2 is through; 40 of 63 points are done" in said
    told = call("status", "bag.h5")
    assert "40 of 63 points (63.5%), 2 of 4 chunks" in told and "nobody" in told
    assert "2 of 4 shards" in call("verify", "bag.h5") and "2 chunks are not done yet" in call("verify", "bag.h5")
    assert "2 of 4 chunks are missing" in call("merge", "bag.h5", status=1)
    assert "40 points are done" in call("scan", "bag.toml", "--dry-run")
    with locked(Folder("bag.h5").place / "lock", "bag.h5", shared=True):
        assert "being worked on by process" in call("scan", "bag.toml", status=2)
    call("scan", "bag.toml", "--part", "2/2", "--no-figure")
    call("scan", "bag.toml", "-o", "whole.h5", "--no-figure")
    assert datasets("bag.h5") == datasets("whole.h5")


def test_merging_what_others_have_computed(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxmem.study.scanning.run.merged", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    said = call("scan", "bag.toml", "--no-figure", status=130)
    assert "the same line typed again goes on" in said
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert "63 points" in call("merge", "bag.h5")
    assert "merged already" in call("merge", "bag.h5")


def test_interrupted_and_gone_on_with(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Executor):
        def map(self, plan, chunks, output):
            from jaxmem.study.scanning.executors.base import outcome

            for i, chunk in enumerate(chunks):
                if i == 2:
                    raise KeyboardInterrupt
                yield outcome(plan, chunk, output)

        def close(self) -> None:
            time.sleep(0)

    monkeypatch.setattr("jaxmem.cli.scan.executor_of", lambda *_: Slow())
    assert "interrupted at 63%; what is done is in bag.h5.scan" in call("scan", "bag.toml", status=130)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    (folder / "bag.toml").write_text(EXPERIMENT.replace("0.5, scale", "0.6, scale"))
    said = call("scan", "bag.toml", status=2)
    assert "not the one that bag.h5.scan was begun with" in said and "high = 0.6" in said and "--fresh" in said
    (folder / "bag.toml").write_text(EXPERIMENT + "# a comment changes nothing\n")
    assert "2 of 4 chunks were done before" in call("scan", "bag.toml", "--no-figure")


def test_a_scan_that_is_not_merged_is_no_missing_file(folder: pathlib.Path) -> None:
    call("scan", "bag.toml", "--part", "1/2", "--no-figure")
    for command in ("report", "export", "show", "plot", "rerun"):
        said = call(command, "bag.h5", *(["--cell", "1"] if command == "rerun" else []), status=2)
        assert "'bag.h5.scan', where 40 of 63 points are done" in said and "jaxmem status bag.h5" in said
    assert "is still in 'bag.h5.scan'" in call("show", "bag.h5.scan", status=2)
    assert "is still in" not in call("show", "bog.h5", status=2)


def test_one_output_as_a_map(folder: pathlib.Path) -> None:
    call("scan", "bag.toml", "--no-figure")
    assert "bag-map.png" in call("plot", "bag.h5", "--measure", "input_resistance")
    assert (folder / "bag-map.png").stat().st_size > 10_000
    assert "status.png" in call("plot", "bag.h5", "--kind", "map", "--measure", "status", "-o", "status.png")
    assert "did you mean 'v'" in call("plot", "bag.h5", "--measure", "vv", "-o", "x.png", status=2)
    assert "'k.outside' is an axis" in call("plot", "bag.h5", "--measure", "k.outside", "-o", "x.png", status=2)
    for odd in (("--kind", "voltage"), ("--measure", "v", "--measure", "stability")):
        said = call("plot", "bag.h5", *odd, status=2)
        assert "bag.h5 holds a scan" in said and "jaxmem report bag.h5" in said
    assert "jaxmem rerun bag.h5 --cell N" in call("plot", "bag.h5", "--cell", "3", status=2)
    with pytest.raises(StoreError, match=r'jm\.read_scan\("bag\.h5"\) opens it'):
        jm.load("bag.h5")


def test_what_is_exported_is_a_list_as_it_stands(folder: pathlib.Path) -> None:
    """With factors and names of axes too: the table of axes says nothing but what the axes are."""
    factors = EXPERIMENT.replace("points = 9", 'points = 9, times = "k_leak.g", name = "ratio"').replace(
        "points = 7 }", 'points = 7 }\nk_leak.g = { low = 0.5, high = 2, points = 2, times = "k_leak.g" }'
    )
    (folder / "factors.toml").write_text(factors)
    call("scan", "factors.toml", "--no-figure")
    call("export", "factors.h5", "--region", "hyperpolarised", "-o", "some.csv")
    listed = factors.split("[scan.axes]")[0].replace('"grid"', '"list"\ntable = "some.csv"') + (
        '[scan.axes]\nna_leak.g = { times = "k_leak.g", name = "ratio" }\nk.outside = {}\n'
        'k_leak.g = { times = "k_leak.g" }\n'
    )
    (folder / "again.toml").write_text(listed)
    call("scan", "again.toml", "--no-figure")
    whole, again = jm.read_scan("factors.h5"), jm.read_scan("again.h5")
    inside = whole["v"] < -80
    assert 0 < again.points == inside.sum() < whole.points == 126
    for name in ("ratio", "k.outside", "k_leak.g_per_k_leak.g", "v"):
        np.testing.assert_array_equal(again[name], whole[name][inside])


def test_damage_has_an_exit_status(folder: pathlib.Path) -> None:
    call("scan", "bag.toml", "--no-figure")
    content = bytearray((folder / "bag.h5").read_bytes())
    content[5000] ^= 1
    (folder / "bag.h5").write_bytes(content)
    assert "damaged" in call("verify", "bag.h5", status=1)


def test_errors_speak(folder: pathlib.Path) -> None:
    assert "write k/n" in call("scan", "bag.toml", "--part", "0/3", status=2)
    assert "what other parts have done" in call("scan", "bag.toml", "--part", "1/3", "--fresh", status=2)
    assert "one of the two" in call("scan", "bag.toml", "--workers", "2", "--dask", "local", status=2)
    assert "there is no nothing.h5" in call("status", "nothing.h5", status=2)
    assert "there is no nothing.h5" in call("verify", "nothing.h5", status=2)
    said = call("scan", "bag.toml", "--set", "scan.regions.x=w < 3", status=2)
    assert "scan.regions.x" in said and "there is no" in said
