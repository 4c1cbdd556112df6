"""The file of a fit: what was measured and how, in the right units and signs; every mistake with its line."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study.fit_table import FitPlan, load

CELLS = """\
# measured by nobody
cell,kind,v,R,tau,T,K_o,ljp
a,pyramidal,-70,200,20,34,3,
b,pyramidal,-60.5,,15,34,3,10
c,basket,-65,100,8,30,,12
d,basket,-100,100,10,34,3,14
e,basket,-70,-5,10,34,3,14
"""
FIT = """\
question = "Which leaks?"

[membrane]
preset = "none"
celsius = 37
capacitance = 2
mechanisms.k_leak = { type = "Leak", g = 0.05, ion = "k" }
mechanisms.na_leak = { type = "Leak", g = 0.01, ion = "na" }
species.na = { inside = 10, outside = 145, valence = 1, dynamic = true }
species.k = { inside = 140, outside = 5, valence = 1, dynamic = true }

[data]
table = "cells.csv"
one_fit_per = "cell"

[data.columns]
resting_potential = { column = "v", unit = "mV", sd = "2 mV" }
input_resistance = { column = "R", unit = "MOhm", sd = "5 %" }
time_constant = { column = "tau", unit = "ms" }
celsius = { column = "T" }

[recording]
mode = "whole-cell"
junction_potential = "14 mV"
ions = "pipette"
pipette = { na = 20, k = "130 mM", cl = 4 }
bath = { na = 150, k = 2.5 }

[fit]
starts = 3
seed = 7

[fit.free]
k_leak.g = ["0.1 uS/cm^2", "10 mS/cm^2"]
na_leak.g = { low = 1e-6, high = 1, prior = ["0.01 mS/cm^2", 0.5] }

[fit.fixed]
geometry.area = "derived"
"""
Make = Callable[..., FitPlan]


@pytest.fixture
def make(tmp_path: pathlib.Path) -> Make:
    """Load FIT with some of its text replaced."""
    (tmp_path / "cells.csv").write_text(CELLS)

    def made(*changes: tuple[str, str], overrides: tuple[str, ...] = ()) -> FitPlan:
        text = FIT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "fit.toml").write_text(text)
        return load(tmp_path / "fit.toml", overrides)

    return made


def wrong(make: Make, *changes: tuple[str, str]) -> list[str]:
    with pytest.raises(jm.ExperimentError) as error:
        make(*changes)
    return [p.partition("fit.toml:")[2] for p in error.value.problems]


# ---------------------------------------------------------------------- what becomes of the numbers
def test_the_junction_potential_is_subtracted_and_said(make: Make) -> None:
    """V_m = V_measured - V_L (Neher 1992): potassium gluconate against saline makes cells look less negative."""
    plan = make()
    np.testing.assert_array_equal(plan.aims["resting_potential"].value, [[-84.0, -79.0]])
    np.testing.assert_array_equal(plan.aims["resting_potential"].sd, [[2.0, 2.0]])
    assert any("14 mV was subtracted" in note for note in plan.notes)
    np.testing.assert_array_equal(np.asarray(plan.membrane.initial_v), [-84.0, -79.0])  # where a search begins
    own = make(("[recording]", 'junction_potential = { column = "ljp", unit = "mV" }\n\n[recording]'))
    np.testing.assert_array_equal(own.aims["resting_potential"].value, [[-84.0, -77.0]])
    assert any("of 1 cells is not known; 14 mV" in note for note in own.notes)


def test_whole_cell_ions_are_those_of_pipette_and_bath_and_do_not_change(make: Make) -> None:
    plan = make()
    p = plan.membrane.parameters()
    assert [p[k].value for k in ("na.inside", "k.inside", "na.outside", "k.outside")] == [20.0, 130.0, 150.0, 2.5]
    assert plan.membrane.pools() == []
    assert any("cl of the solutions is not in this membrane" in note for note in plan.notes)
    sharp = make(('ions = "pipette"\npipette = { na = 20, k = "130 mM", cl = 4 }\n', ""))
    assert sorted(sharp.membrane.pools()) == [("k", "inside"), ("na", "inside")]
    assert sharp.membrane.parameters()["k.outside"].value == 2.5


def test_the_area_is_that_of_tau_and_resistance(make: Make) -> None:
    """100 pF at 2 uF/cm^2 are 5000 um^2; the volume is a sphere's."""
    plan = make()
    area = np.asarray(plan.membrane.geometry.area)
    np.testing.assert_allclose(area, [5000.0, 4000.0], rtol=1e-12)
    np.testing.assert_allclose(plan.membrane.geometry.volume, np.pi / 6 * (area / np.pi) ** 1.5, rtol=1e-12)
    np.testing.assert_array_equal(plan.membrane.celsius, [34.0, 30.0])
    np.testing.assert_array_equal(plan.aims["input_resistance"].sd, [[10.0, 5.0]])
    fixed = make(('"derived"', '"0.00002 cm^2"'), ('time_constant = { column = "tau", unit = "ms" }\n', ""))
    assert float(fixed.membrane.geometry.area) == 2000.0


def test_who_cannot_be_fitted_keeps_a_name_and_a_reason(make: Make) -> None:
    plan = make()
    assert plan.names == ("a", "b", "c", "d", "e") and plan.kept.tolist() == [0, 2]
    assert plan.excluded[1] == "input_resistance was not measured"
    e_k = float(jm.electrochemistry.nernst(130.0, 2.5, 1, 34.0))
    assert plan.excluded[3].startswith(f"rests at -114 mV, below E_K = {e_k:.4g} mV")
    assert plan.excluded[4] == "input_resistance is -5 MOhm, not above 0"
    less = make(("[recording]", 'k.outside = { column = "K_o" }\n[recording]'))
    assert less.kept.tolist() == [0] and less.excluded[2] == "k.outside was not measured"
    filled = make(("[recording]", 'k.outside = { column = "K_o", missing = "4 mM" }\n[recording]'))
    np.testing.assert_array_equal(filled.membrane.parameters()["k.outside"].value, [3.0, 4.0])


def test_what_was_not_measured_is_nan_and_the_rest_is_fitted(make: Make) -> None:
    plan = make(('geometry.area = "derived"', ""), ('time_constant = { column = "tau", unit = "ms" }\n', ""))
    assert plan.kept.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(plan.aims["input_resistance"].value, [[200.0, np.nan, 100.0]])
    assert np.all(plan.aims["input_resistance"].sd > 0)


def test_rows_can_be_chosen(make: Make) -> None:
    plan = make(('one_fit_per = "cell"', 'one_fit_per = "cell"\nwhere = { kind = "basket", tau = [8, 10] }'))
    assert plan.names == ("c", "d", "e") and plan.kept.tolist() == [0]
    told = wrong(make, ('one_fit_per = "cell"', 'one_fit_per = "cell"\nwhere = { kind = "chandelier" }'))
    assert told == ["12: data: where: no row has 'chandelier' in 'kind'; there are 'basket', 'pyramidal'"]
    told = wrong(make, ('one_fit_per = "cell"', 'one_fit_per = "kind"'))
    assert "lines 3 and 4 of cells.csv are both called 'pyramidal'" in told[0]


def test_conditions_stand_in_a_list(make: Make) -> None:
    """The same target in two baths: two numbers per cell, each with its own potassium."""
    two = """resting_potential = [
  { column = "v", sd = 2 },
  { column = "ljp", sd = "10 %", at = { k.outside = "20 mM" } },
]"""
    plan = make(('resting_potential = { column = "v", unit = "mV", sd = "2 mV" }', two))
    aim = plan.aims["resting_potential"]
    assert aim.at == [{}, {"k.outside": 20.0}] and aim.value.shape == (2, 2)
    np.testing.assert_array_equal(aim.value[1], [np.nan, -2.0])
    blocked = make(
        ('resting_potential = { column = "v", unit = "mV", sd = "2 mV" }',
         'no_sodium = { of = "resting_potential", column = "v", sd = 2, at = { na_leak.g = 0 } }')
    )  # fmt: skip
    assert blocked.aims["no_sodium"].of == "resting_potential" and blocked.aims["no_sodium"].at == [{"na_leak.g": 0.0}]


def test_free_tied_and_fixed(make: Make) -> None:
    plan = make()
    assert {path: (x.low, x.high) for path, x in plan.free.items()} == {
        "k_leak.g": (1e-4, 10.0),
        "na_leak.g": (1e-6, 1.0),
    }
    assert plan.free["na_leak.g"].prior == [0.01, 0.5] and (plan.starts, plan.seed) == (3, 7)
    tied = make(
        ("2 mV", "20 mV"),
        ('na_leak.g = { low = 1e-6, high = 1, prior = ["0.01 mS/cm^2", 0.5] }', '[fit.tied]\nna_leak.g = "k_leak.g"'),
    )
    assert tied.tied["na_leak.g"] == ("k_leak.g", pytest.approx(0.2)) and list(tied.free) == ["k_leak.g"]


def test_one_cell_without_a_table(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.toml").write_text(
        'question = "?"\n[membrane]\npreset = "pump_leak"\n[fit.free]\nk_leak.g = [0.001, 1]\n'
        '[fit.targets]\nresting_potential = { value = "-0.08 V", sd = "2 %" }\nna.inside = { value = 12, sd = 1 }\n'
    )
    plan = load(tmp_path / "one.toml")
    assert plan.cells is None and plan.membrane.cells is None and plan.names == ("cell",)
    assert plan.aims["resting_potential"].value.item() == -80.0
    assert plan.aims["resting_potential"].sd.item() == pytest.approx(1.6)
    again = load(
        tmp_path / "one.toml", ["fit.targets.resting_potential.value=-70", "fit.free.k_leak.g=[0.01, 2]", "celsius=20"]
    )
    assert again.aims["resting_potential"].value.item() == -70.0 and again.free["k_leak.g"].low == 0.01
    assert again.membrane.celsius == 20.0 and "# overridden: --set celsius=20" in again.text


def test_a_table_on_the_command_line_is_looked_for_where_one_types(
    make: Make, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.csv").write_text(CELLS.replace("a,", "z,"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert make(overrides=("data.table=mine.csv",)).names[0] == "z"


# ---------------------------------------------------------------------- what is wrong
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('column = "v"', 'column = "V"', "cells.csv: there is no column 'V' here; there are cell, kind, v"),
        ('sd = "2 mV"', 'sd = "2 ms"', "data.columns.resting_potential: '2 ms' is a time; a voltage in mV is wanted"),
        ('sd = "2 mV"', "sd = 0", "sd must be above 0; found 0"),
        (', sd = "2 mV"', "", 'is no parameter; what is fitted needs a standard deviation: add sd = "5 %"'),
        ("input_resistance =", "input_resistence =", "did you mean 'input_resistance'"),
        ('celsius = { column = "T" }', 'celsius = { column = "kind" }', "cells.csv:3: column 'kind': found 'pyramidal'"),
        ('time_constant = { column = "tau", unit = "ms" }', "", "a derived area needs the time_constant of each cell"),
        ("cells.csv", "none.csv", "there is no file"),
        ('mode = "whole-cell"', 'mode = "sharp"', "a sharp electrode does not replace the cell's ions"),
        ('k = "130 mM", ', "", "has no k, which crosses this membrane: say how much"),
        ("na = 150,", "na = 0,", "must be above 0 mM: na crosses this membrane"),
        ('"10 mS/cm^2"', '"0.01 uS/cm^2"', "the lower bound 0.0001 is not below the upper 1e-05 mS/cm^2"),
        ('"10 mS/cm^2"', '"10 nS"', "only with a membrane area"),
        ("g = 0.05", "g = 0.05, h = 1", "there is no"),
        ('0.5] }\n', '0.5] }\nsodium.g = [1, 2]\n', "there is no parameter 'sodium.g'"),
        ('"derived"', '"derived"\nk_leak.g = 1', "is in [fit.free] and [fit.fixed]; it can be in one of them"),
        ("seed = 7", "sead = 7", "there is no key 'sead' here; did you mean 'seed'?"),
        ("resting_potential =", "k.inside =", "k.inside: does not change in this membrane and cannot be fitted"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(make: Make, old: str, new: str, said: str) -> None:
    told = wrong(make, (old, new))
    assert any(said in t for t in told), told
    assert all(t.partition(":")[0].isdigit() for t in told), told


def test_everything_wrong_is_said_at_once(make: Make) -> None:
    told = wrong(make, ('"2 mV"', '"2 ms"'), ("starts = 3", "starts = 0"), ("k_leak.g =", "k_leek.g ="))
    assert len(told) == 3


def test_where_no_cell_is_left_the_reasons_are_the_error(make: Make) -> None:
    with pytest.raises(jm.ExperimentError, match="none of the 5 cells can be fitted") as error:
        make(('"14 mV"', '"114 mV"'))
    assert "a: rests at -184 mV, below E_K" in str(error.value)
