"""Mechanisms from experiment files: a user's own by module and class, jaxmem's by name, changed, removed, all of them."""

import pathlib
from typing import Any

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study import experiment
from jaxmem.study.problems import ExperimentError

HEAD = 'question = "What does one more channel do?"\n[run]\nduration = 2\ndt = 0.05\n[membrane]\n'
CHANNELS = """
import equinox as eqx
import jax.numpy as jnp
import jaxmem as jm
from {other} import FASTER

class Slow(jm.Mechanism):
    g: jm.Number = jm.parameter("mS/cm^2", "maximal conductance", minimum=0.0)
    tau: jm.Number = jm.parameter("ms", "time constant", default=30.0 * FASTER, positive=True)
    e: jm.Number | None = jm.parameter("mV", "fixed reversal potential", default=None)
    ion: str = eqx.field(static=True, default="k")
    power: int = eqx.field(static=True, default=1)

    def kinetics(self, v, states, env):
        return {{"w": jm.Linear(gain=1 / (1 + jnp.exp(-(v + 35) / 10)) / self.tau, rate=1 / self.tau)}}

    def fluxes(self, v, states, env):
        g = self.g * states["w"] ** self.power
        return {{self.ion: jm.Current(g * (v - (env.e[self.ion] if self.e is None else self.e)), g)}}

class NoChannel:
    pass
"""


@pytest.fixture
def module(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> str:
    """A module beside the experiment file, of a name of its own: Python keeps one module of a name."""
    name = f"channels_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(CHANNELS.format(other=f"{name}_constants"))
    (tmp_path / f"{name}_constants.py").write_text("FASTER = 2.0\n")
    return name


@pytest.fixture
def load(tmp_path: pathlib.Path) -> Any:
    def loaded(text: str, *overrides: str) -> experiment.Experiment:
        path = tmp_path / "e.toml"
        path.write_text(HEAD + text, encoding="utf-8")
        return experiment.load(path, overrides)

    return loaded


@pytest.fixture
def problems(load: Any, tmp_path: pathlib.Path) -> Any:
    def found(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, *overrides)
        return [p.replace(f"{tmp_path}/", "").replace(str(tmp_path), "FOLDER") for p in caught.value.problems]

    return found


def slow(module: str, *lines: str) -> str:
    return "\n".join(['preset = "pump_leak"', "[membrane.mechanisms.slow]", f'type = "{module}:Slow"', *lines]) + "\n"


@pytest.mark.slow
def test_a_channel_of_ones_own_is_like_any_other(load: Any, module: str, tmp_path: pathlib.Path) -> None:
    text = slow(module, 'g = "2 nS"', 'ion = "cl"', "power = 2", 'e = "-0.05 V"')
    text += '[membrane.parameters]\nslow.tau = "0.01 s"\n[population]\ncells = 3\n[population.vary]\n'
    text += 'slow.g = { distribution = "values", values = [0.1, "2 S/m^2", 0.3] }\n'
    text += '[output]\ntraces = [{ variables = ["slow.w", "slow.i_cl"], every = 0.5 }]\n'
    one = load(text.replace("[population.vary]", "").replace("slow.g =", "[population.vary]\nk_leak.g ="))
    area = 4 * np.pi * 100 * 1e-8
    known = one.membrane.parameters()
    np.testing.assert_allclose(known["slow.g"].value, 2e-6 / area, rtol=1e-12)
    assert (known["slow.tau"].value, known["slow.e"].value, known["slow.tau"].unit) == (10.0, -50.0, "ms")
    mechanism = one.membrane.mechanisms["slow"]
    assert (mechanism.ion, mechanism.power, type(mechanism).__name__) == ("cl", 2, "Slow")
    assert one.membrane.order == (*jm.presets.pump_leak().order, "slow")
    e = load(text, "slow.tau=60 ms", "membrane.mechanisms.slow.power=1")
    np.testing.assert_array_equal(e.membrane.parameters()["slow.g"].value, [0.1, 0.2, 0.3])
    assert e.membrane.parameters()["slow.tau"].value == 60.0 and e.membrane.mechanisms["slow"].power == 1
    sim = e.run()
    w = 1 / (1 + np.exp(3.5))
    np.testing.assert_allclose(sim.traces["slow.w"][0], w, rtol=1e-6)
    np.testing.assert_allclose(sim.traces["slow.i_cl"][0], np.array([0.1, 0.2, 0.3]) * w * (-70 + 50), rtol=1e-5)
    sim.save(tmp_path / "out.h5")
    again = jm.load(tmp_path / "out.h5")
    assert type(again.membrane.mechanisms["slow"]) is type(e.membrane.mechanisms["slow"])


def test_mechanisms_are_changed_and_removed(load: Any) -> None:
    text = 'preset = "pump_leak"\n[membrane.mechanisms]\ncl_leak = { remove = true }\n'
    text += (
        'pump = { electrogenic = false, atp = "none" }\nna_leak = { type = "GHKLeak", ion = "na", p = "1e-10 m/s" }\n'
    )
    m = load(text).membrane
    preset = jm.presets.pump_leak()
    assert set(m.mechanisms) == {"na_leak", "k_leak", "pump"}
    pump = m.mechanisms["pump"]
    assert not pump.electrogenic and pump.atp is None and pump.i_max == preset.mechanisms["pump"].i_max
    assert isinstance(m.mechanisms["na_leak"], jm.GHKLeak)
    np.testing.assert_allclose(m.mechanisms["na_leak"].p, 1e-8)


def test_a_membrane_all_in_the_file_is_the_preset(load: Any) -> None:
    """The squid axon of 1952, written out: the same numbers, and the same traces to the last bit."""
    text = """preset = "none"
celsius = 6.3
parameters = { initial_v = -65 }
[membrane.geometry]
diameter = 476
length = 1000
[membrane.species]
na = { valence = 1 }
k = { valence = 1 }
nonspecific = { valence = 1 }
[membrane.mechanisms]
sodium = { type = "HodgkinHuxleySodium", e = 50 }
potassium = { type = "HodgkinHuxleyPotassium", e = -77 }
leak = { type = "Leak", g = 0.3, e = -54.387, ion = "nonspecific", q10_g_celsius = 6.3 }
[stimulus]
kind = "constant"
amplitude = 10
carrier = "none"
[output]
traces = [{ variables = ["v"], every = 0.1 }]
"""
    e = load(text, "run.duration=10")
    known = e.membrane.parameters()
    assert known["celsius"].value == 6.3 and known["capacitance"].value == 1.0
    v = e.run().traces["v"]
    published = 'preset = "hodgkin_huxley_1952"\n' + text[text.index("[stimulus]") :]
    assert v.max() > 30
    np.testing.assert_array_equal(v, load(published, "run.duration=10").run().traces["v"])
    living = load(
        text.replace("na = { valence = 1 }", "na = { valence = 1, inside = 10, outside = 145, dynamic = true }")
    )
    assert living.membrane.pools() == [("na", "inside")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            'g = "1 mV"',
            "e.toml:9: membrane.mechanisms.slow.g: '1 mV' is a voltage; a conductance density in mS/cm^2 is",
        ),
        ("g = -1", "e.toml:9: membrane.mechanisms.slow.g: must be at least 0 mS/cm^2; found -1"),
        (
            "g = 1\ntua = 3",
            "e.toml:10: membrane.mechanisms.slow.tua: there is no field 'tua' here; did you mean 'tau'?",
        ),
        ("tau = 3", "e.toml:7: membrane.mechanisms.slow.g: is missing; it is the maximal conductance (mS/cm^2)"),
        ("g = 1\nion = 3", "e.toml:10: membrane.mechanisms.slow.ion: found 3; a text is wanted"),
        ("g = 1\npower = 1.5", "e.toml:10: membrane.mechanisms.slow.power: found 1.5; a whole number is wanted"),
        ("g = true", "e.toml:9: membrane.mechanisms.slow.g: found True"),
        ('g = 1\nion = "zn"', "e.toml:5: membrane: mechanism 'slow' needs 'zn', which this membrane does not offer"),
        (
            "g = 1\nremove = true",
            "e.toml:7: membrane.mechanisms.slow: what is removed has remove = true and nothing else",
        ),
    ],
)
def test_a_wrong_field_is_named(problems: Any, module: str, lines: str, expected: str) -> None:
    found = problems(slow(module, lines))
    assert len(found) == 1 and found[0].startswith(expected), found


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{ type = "Leek" }', "type: there is no mechanism of jaxmem 'Leek' here; did you mean 'Leak'"),
        ('{ type = "Leak", e = 1, ions = "k" }', "ions: there is no field 'ions' here; did you mean 'ion'?"),
        (
            '{ type = "no_such_module_here:Kv" }',
            "type: there is no module 'no_such_module_here' in FOLDER nor on Python's",
        ),
        ('{ type = "MODULE:Slo" }', "type: MODULE: there is no mechanism 'Slo' here; did you mean 'Slow'?"),
        ('{ type = "MODULE:NoChannel" }', "type: MODULE:NoChannel is no mechanism: it has to be a class derived from"),
        (
            '{ type = "broken:Kv" }',
            "type: the module 'broken' cannot be imported: ZeroDivisionError: division by zero (br",
        ),
        ('{ type = "unclosed:Kv" }', "type: the module 'unclosed' cannot be imported: SyntaxError"),
        ('{ type = "needy:Kv" }', "type: the module 'needy' needs 'no_such_module_here', which is not installed here"),
        ('{ type = "json:Kv" }', "type: Python has loaded another module called 'json'"),
        ('{ type = "a-b:Kv" }', "type: found 'a-b:Kv'; a module and a class in it are wanted"),
        ("{ g = 1 }", 'a new mechanism needs a type, such as type = "Leak" or type = "my_channels:Kv7" (to change one'),
        ("{ remove = true }", "there is no mechanism 'new' here; there are na_leak, k_leak, cl_leak, pump"),
        ('"Leak"', "found 'Leak'; a table is wanted, such as"),
    ],
)
def test_what_is_no_mechanism_is_told(
    problems: Any, module: str, tmp_path: pathlib.Path, entry: str, expected: str
) -> None:
    for name, text in (("broken", "1 / 0"), ("unclosed", "("), ("needy", "import no_such_module_here"), ("json", "")):
        (tmp_path / f"{name}.py").write_text(text)
    text = f'preset = "pump_leak"\n[membrane.mechanisms]\nnew = {entry}\n'.replace("MODULE", module)
    (found,) = problems(text)
    place, _, said = found.partition("membrane.mechanisms.new")
    assert place == "e.toml:8: " and said.lstrip(".: ").startswith(expected.replace("MODULE", module)), found


def test_a_mechanism_that_cannot_be_computed_is_named_with_its_line(
    problems: Any, module: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text().replace('g = self.g * states["w"]', "g = self.g * jnp.arange(3) @ jnp.arange(2)"))
    (found,) = problems(slow(module, "g = 1"))
    assert (
        "e.toml:5: membrane: a mechanism cannot be computed: TypeError" in found and f"{module}.py, line 18)" in found
    )


def test_an_empty_membrane_says_what_it_needs(problems: Any) -> None:
    assert problems('preset = "none"\n') == [
        "e.toml:5: membrane.celsius: is missing; a membrane without a preset needs its temperature",
        "e.toml:5: membrane.mechanisms: is missing; a membrane without a preset needs some",
    ]


def test_the_search_path_is_left_as_it_was(load: Any, module: str) -> None:
    import sys

    before = list(sys.path)
    load(slow(module, "g = 1"))
    assert sys.path == before
