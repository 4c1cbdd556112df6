"""Findings hold or fail loudly."""

import numpy as np
import pytest

import jaxmem as jm


def test_what_holds_passes_and_what_does_not_is_named() -> None:
    findings = jm.Findings("Does it\n spike?")
    findings.expect("rest", -65.0, -66.0, -64.0, "mV", "Hodgkin & Huxley 1952")
    findings.check()
    findings.expect("spikes", 7, 7, 7)
    findings.expect("peak", np.nan, 30.0, unit="mV")
    findings.expect("drift", 0.2, high=0.1, unit="mV/min")
    with pytest.raises(jm.FindingsError) as error:
        findings.check()
    assert str(error.value).splitlines() == [
        "2 of 4 did not come out:",
        "! peak: nan mV (expected at least 30)",
        "! drift: 0.2 mV/min (expected at most 0.1)",
    ]
    assert "  spikes: 7 (expected 7)" in str(findings)
    assert findings.attributes["question"] == "Does it spike?"
    assert [f["holds"] for f in findings.attributes["findings"]] == [True, True, False, False]


def test_an_experiment_that_expects_nothing_fails() -> None:
    with pytest.raises(jm.FindingsError, match="Nothing was expected"):
        jm.Findings("Why?").check()


def test_findings_are_kept_with_the_provenance(tmp_path) -> None:
    findings = jm.Findings("Does it rest?")
    sim = jm.simulate(jm.presets.hodgkin_huxley_1952(), 1.0)
    findings.expect("rest", sim.final_state.v, -66, -64, "mV")
    sim.save(tmp_path / "a.h5", attributes=findings.attributes)
    from jaxmem.study.store import summary

    assert "rest" in str(summary(tmp_path / "a.h5").provenance["findings"])
