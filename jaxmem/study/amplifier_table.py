"""From [amplifier] of an experiment file to what the amplifier shows, and to the clamp that it is.

    [amplifier]
    mode = "voltage_clamp"
    series_resistance = "10 MOhm"   # of the whole cell, or kOhm*cm^2; these belong to the clamp under [stimulus]
    compensation = 0.7
    pipette_capacitance = "3 pF"
    seal_conductance = "2 GOhm"     # a resistance is inverted
    filter = "5 kHz"                # -3 dB of a 4-pole Bessel
    noise = "5 pA"                  # standard deviation, after the filter; mV in current clamp
    seed = 1

    [amplifier]
    mode = "current_clamp"
    bridge_error = "5 MOhm"
    junction_potential = "10 mV"

It reads what [output] records, and ``reading.v`` or ``reading.i`` stands beside it in the result.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from jaxmem import units
from jaxmem.analysis.readings import check_rate
from jaxmem.engine.records import Record
from jaxmem.membrane.mechanism import METADATA, Declaration
from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.rig.amplifier import Amplifier
from jaxmem.rig.clamp import VoltageClamp
from jaxmem.study import tables
from jaxmem.study.problems import Path, Problems

CLAMP = (
    "series_resistance", "compensation", "prediction", "cell_capacitance", "pipette_capacitance", "seal_conductance",
)  # fmt: skip
BRIDGE = ("bridge_error", "junction_potential")
NEEDS_RESISTANCE = ("compensation", "prediction", "cell_capacitance")
PLACE = "amplifier"


class AmplifierTable(tables.Table):
    mode: Literal["current_clamp", "voltage_clamp"] = Field(description="'current_clamp' or 'voltage_clamp'")
    filter: Annotated[float, tables._in("Hz"), Field(gt=0)] | None = None
    noise: tables.Written = 0.0
    seed: int = Field(default=0, ge=0, lt=2**64)
    bridge_error: tables.Written = 0.0
    junction_potential: tables.Written = 0.0
    series_resistance: tables.Written | None = None
    compensation: tables.Written | None = None
    prediction: tables.Written | None = None
    cell_capacitance: tables.Written | None = None
    pipette_capacitance: tables.Written | None = None
    seal_conductance: tables.Written | None = None


class Found(NamedTuple):
    """What it shows, and the fields of the clamp under [stimulus] that it sets."""

    amplifier: Amplifier | None
    clamp: dict[str, float]


def read(raw: Any, stimulus: Any, membrane: Membrane, problems: Problems) -> Found:
    """The amplifier of a file (None where there is none) beside its stimulus, both as written."""
    table = None if raw is None else problems.table(AmplifierTable, raw, PLACE)
    if raw is None or not isinstance(raw, dict):
        return Found(None, {})
    likely = {"series_resistance": 1.0} if {*CLAMP} & {*raw} else {}  # no other fault follows from one of it
    if table is None:
        return Found(None, likely)
    clamped = table.mode == "voltage_clamp"
    before = len(problems.found)
    _fits(table, [key for key in raw if key in table.model_fields_set], stimulus, problems)
    whole = {"area": membrane.geometry.area, "capacitance": membrane.capacitance}
    said, clamp = dict[str, Any](), dict[str, float]()
    for cls, names, found in ((VoltageClamp, CLAMP, clamp), (Amplifier, (*BRIDGE, "noise"), said)):
        known = _declared(cls)
        for name in names:
            if name not in table.model_fields_set:
                continue
            unit = known[name].unit if name != "noise" else "uA/cm^2" if clamped else "mV"
            with problems.at(PLACE, name):
                found[name] = number = units.parse_quantity(getattr(table, name), unit, **whole)
                if wrong := out_of_range(number, dataclasses.replace(known[name], unit=unit)):
                    raise ValueError(wrong)
    if len(problems.found) > before:
        return Found(None, likely | clamp)
    return Found(Amplifier(corner=table.filter, mode=table.mode, seed=table.seed, **said), clamp)


def _fits(table: AmplifierTable, given: list[str], stimulus: Any, problems: Problems) -> None:
    """Whether mode, keys and stimulus belong together."""
    clamps = list(_clamps(stimulus))
    if table.mode == "current_clamp":
        for name in given:
            if name in CLAMP:
                advice = "; in current clamp bridge_error is what it leaves" if name == "series_resistance" else ""
                problems.add((PLACE, name), f"belongs to mode = \"voltage_clamp\"; found 'current_clamp'{advice}")
        if clamps:
            text = "found 'current_clamp', but the stimulus is a voltage clamp; take mode = \"voltage_clamp\""
            problems.add((PLACE, "mode"), text)
        return
    for name in given:
        if name in BRIDGE:
            advice = "; take it off the command" if name == "junction_potential" else "; it is series_resistance here"
            problems.add((PLACE, name), f"belongs to mode = \"current_clamp\"; found 'voltage_clamp'{advice}")
    if len(clamps) != 1:
        many = "several" if clamps else "none"
        text = f"found 'voltage_clamp', which needs one stimulus of kind = \"voltage_clamp\"; there are {many}"
        problems.add((PLACE, "mode"), text)
        return
    place, clamp = clamps[0]
    for name in given:
        if name in CLAMP and name in clamp:
            where = "".join(f"[{p}]" if isinstance(p, int) else str(p) for p in place)
            problems.add((PLACE, name), f"is given under {where} too; leave one of the two out")
    for name in given:
        if name in NEEDS_RESISTANCE and not {"series_resistance"} & {*given, *clamp}:
            problems.add((PLACE, name), 'needs a series_resistance, for example "10 MOhm"')


def _clamps(stimulus: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The voltage clamps among the tables of a stimulus, with their places."""
    whole: list[tuple[Path, Any]] = [(("stimulus",), stimulus)]
    parts: list[tuple[Path, Any]] = (
        [(("stimulus", i), x) for i, x in enumerate(stimulus)] if isinstance(stimulus, list) else whole
    )
    for place, part in parts:
        if isinstance(part, dict) and part.get("kind") == "voltage_clamp":
            yield place, part


def check(amplifier: Amplifier, records: Sequence[Record], duration: float, problems: Problems) -> None:
    """Whether what it reads is recorded, together, and often enough for its filter."""
    if any(place[:1] == ("output",) for place in problems.places):
        return  # what is recorded is not known
    wanted = ["clamp"] if amplifier.mode == "voltage_clamp" else ["v"]
    wanted += ["stimulus"] if wanted == ["v"] and amplifier.bridge_error != 0 else []
    holding = next((r for r in records if not r.name and set(wanted) <= {*r.paths}), None)
    if holding is None:
        names = " and ".join(map(repr, wanted))
        listed = ", ".join(f'"{x}"' for x in wanted)
        text = f"it reads {names}, which one of [[output.traces]] without a name must record: variables = [{listed}]"
        problems.add((PLACE,), text)
    elif amplifier.corner is not None:
        rate = 1000.0 / holding.every if duration >= holding.every else 0.0
        with problems.at(PLACE, "filter"):
            check_rate(rate, amplifier.corner)


def _declared(cls: type) -> dict[str, Declaration]:
    return {f.name: f.metadata[METADATA] for f in dataclasses.fields(cls) if METADATA in f.metadata}
