"""The experiments on fits: each comes out in a small size, and tells a physics that is not the one it believes in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_experiments_ions import script

import jaxmem as jm

SMALL: list[tuple[str, dict[str, Any]]] = [
    ("potassium_series", {"starts": 8}),
    ("cheapest_rest", {"resistances": 5, "starts": 2, "drawn": 40}),
    ("degeneracy", {"samples": 150, "measured_first": (1, 4)}),
]
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("potassium_series", {"starts": 8, "n_k": 3.0}, "truth over GHK"),
    ("cheapest_rest", {"resistances": 5, "starts": 2, "drawn": 40, "n_k": 1.0}, "over the algebra's least"),
    ("degeneracy", {"samples": 150, "measured_first": (1, 4), "n_k": 1.0}, "I_K over I_Na"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), SMALL, ids=[name for name, _ in SMALL])
def test_an_experiment_comes_out(name: str, size: dict[str, Any], tmp_path: Path) -> None:
    module = script(name)
    kept, findings = module.run(**size)
    findings.check()
    figure = module.draw(kept)
    assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)
    jm.save_variables(tmp_path / "a.h5", kept, attributes=findings.attributes)
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as found:
        assert found.attrs["question"] == module.QUESTION


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "what"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_pump_of_another_ratio_is_told(name: str, size: dict[str, Any], what: str) -> None:
    with pytest.raises(jm.FindingsError, match=what):
        script(name).run(**size)[1].check()


@pytest.fixture(scope="module")
def squid() -> tuple[Any, Any]:
    module = script("squid_conductances")
    return module, module.run()


@pytest.mark.slow
def test_rates_of_the_squid_axon_come_out(squid: tuple[Any, Any], tmp_path: Path) -> None:
    module, (kept, findings, curves, fits) = squid
    findings.check()
    figure = module.draw(kept, curves, fits)
    assert all(ax.get_xlabel() and ax.get_title("left") for ax in figure.axes)
    jm.save_variables(tmp_path / "a.h5", kept, attributes=findings.attributes)


@pytest.mark.slow
def test_curves_in_a_file_are_fitted(squid: tuple[Any, Any], tmp_path: Path) -> None:
    """The same curves written as a file, half as large and their points told to be 0.1 ms earlier than they are."""
    module, (_, _, curves, fits) = squid
    rows = ["conductance,depolarisation_mV,t_ms,g_mS_cm2"]
    for (name, step), points in curves.items():
        early = 0.1 if name == "gNa" else 0.0
        rows += [f"{name},{step},{t - early},{0.5 * g}" for t, g in points]
    (tmp_path / "points.csv").write_text("\n".join(rows))
    _, findings, _, again = module.run(tmp_path / "points.csv")
    findings.check()
    assert again["gNa"].numbers["late"][0] == pytest.approx(0.1)
    for name, number in (("gK", "tau"), ("gNa", "tau_h")):
        np.testing.assert_allclose(again[name].numbers[number], fits[name].numbers[number], rtol=1e-3)


@pytest.mark.slow
def test_channels_that_do_not_inactivate_do_not_fit(squid: tuple[Any, Any]) -> None:
    with pytest.raises(jm.FindingsError, match="gNa: rms residual"):
        squid[0].run(h_always=True)[1].check()


def test_closed_forms_of_a_step_are_those_of_the_axon_under_a_clamp() -> None:
    """The curves that are fitted, with the numbers of 1952, against a simulated clamp."""
    module = script("squid_conductances")
    module.NOISE = 0.0
    curves = module.simulated(0)
    (a, b), (a0, b0) = module.formula("n", module.STEPS), module.formula("n", np.zeros(1))
    for i, step in enumerate(module.STEPS):
        t, g = curves["gK", step].T
        curve = module.PotassiumStep(36 * (a0 / (a0 + b0)) ** 4, 36 * (a[i] / (a[i] + b[i])) ** 4, 1 / (a[i] + b[i]), t)
        np.testing.assert_allclose(curve.conductance, g, rtol=1e-3)
    (m, c), (m0, c0), (h, d), (h0, d0) = (module.formula(x, y) for x in "mh" for y in (module.STEPS, np.zeros(1)))
    rest = h0 / (h0 + d0)
    for i, step in enumerate(module.STEPS):
        t, g = curves["gNa", step].T
        curve = module.SodiumStep(
            120 * (m0 / (m0 + c0)) ** 3 * rest, 120 * (m[i] / (m[i] + c[i])) ** 3 * rest, 1 / (m[i] + c[i]),
            1 / (h[i] + d[i]), h[i] / (h[i] + d[i]) / rest, 0.0, t,
        )  # fmt: skip
        np.testing.assert_allclose(curve.conductance, g, rtol=5e-3, atol=1e-3 * g.max())
