"""From [stimulus], or several [[stimulus]], to a stimulus. Keys, units and limits are those its class declares."""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import numpy as np

from jaxmem import units
from jaxmem.membrane.mechanism import METADATA, Declaration
from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.rig.clamp import VoltageClamp
from jaxmem.rig.conductance import ConductanceClamp
from jaxmem.rig.courses import CurrentCourse, Ramp
from jaxmem.rig.noise import OrnsteinUhlenbeck, WhiteNoise
from jaxmem.rig.pulses import PulseTrain
from jaxmem.rig.stimuli import ConstantCurrent, StepCurrent, Stimulus
from jaxmem.rig.sums import Sum
from jaxmem.rig.timecourse import TimeCourse
from jaxmem.rig.waveform import Waveform
from jaxmem.rig.waves import Chirp, Sinusoid
from jaxmem.study.problems import Problems, unknown

Where = tuple[str | int, ...]


class Kind(NamedTuple):
    """A class, the keys without which it says nothing, and keys beside its declared fields."""

    cls: type[Stimulus]
    needs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


COURSE = ("times", "values", "interpolation", "tau")
SAMPLES = ("csv", "column", "unit", "time", "time_unit", "abf", "sweep", "channel", "command", "samples", "interval")
KINDS: dict[str, Kind | None] = {
    "none": None,
    "constant": Kind(ConstantCurrent, ("amplitude",)),
    "step": Kind(StepCurrent, ("amplitude", "start", "stop")),
    "pulse_train": Kind(PulseTrain, ("amplitude", "width"), ("frequency",)),
    "ramp": Kind(Ramp, ("amplitude", "start", "stop")),
    "course": Kind(CurrentCourse, ("times", "values"), COURSE),
    "sinusoid": Kind(Sinusoid, ("amplitude", "frequency")),
    "chirp": Kind(Chirp, ("amplitude", "first", "last", "start", "stop")),
    "white_noise": Kind(WhiteNoise, ("sd",)),
    "ornstein_uhlenbeck": Kind(OrnsteinUhlenbeck, ("sd", "tau")),
    "waveform": Kind(Waveform, (), ("interpolation", *SAMPLES)),
    "conductance": Kind(ConductanceClamp, ("g", "e"), ("g",)),
    "voltage_clamp": Kind(VoltageClamp, (), ("command",)),
}
WORDS = {"carrier": str, "sweep": str, "interpolation": str, "seed": int}  # fields that are no numbers with a unit


@dataclasses.dataclass
class Reader:
    """What reading a table needs to know beside the table."""

    membrane: Membrane
    duration: float
    folder: pathlib.Path
    problems: Problems
    clamp: dict[str, float] = dataclasses.field(default_factory=dict)  # fields that [amplifier] gives a voltage clamp

    def quantity(self, value: Any, unit: str) -> float:
        return units.parse_quantity(
            value, unit, area=self.membrane.geometry.area, capacitance=self.membrane.capacitance
        )


def stimulus(
    raw: Any, membrane: Membrane, duration: float, folder: pathlib.Path, problems: Problems, clamp: dict[str, float]
) -> Stimulus | None:
    """The stimulus of a file; what is wrong is noted, and what is left may be None. ``clamp``: see Reader."""
    reader = Reader(membrane, duration, folder, problems, clamp)
    if not isinstance(raw, list):
        return _one(raw, ("stimulus",), reader)
    numbered = [_seeded(part, i) for i, part in enumerate(raw)]
    parts = [_one(part, ("stimulus", i), reader) for i, part in enumerate(numbered)]
    found = [part for part in parts if part is not None]
    with problems.at("stimulus"):
        return Sum(found) if found else None
    return None


def _seeded(part: Any, number: int) -> Any:
    """Noises that are added up are different ones: unless told, each takes its place in the list as its seed."""
    noisy = isinstance(part, dict) and part.get("kind") in ("white_noise", "ornstein_uhlenbeck")
    return {"seed": number, **part} if noisy else part


def _one(raw: Any, where: Where, reader: Reader, current: str = "uA/cm^2") -> Stimulus | None:
    """The stimulus of one table, with its amplitudes in the unit ``current``."""
    problems = reader.problems
    if not isinstance(raw, dict):
        problems.add(where, f"found {raw!r}; a table is wanted, with kind and what belongs to it")
        return None
    kinds = ", ".join(map(repr, KINDS))
    if "kind" not in raw:
        problems.add((*where, "kind"), f"is missing; it is one of {kinds}")
        return None
    name = raw["kind"]
    if not isinstance(name, str) or name not in KINDS:
        problems.add((*where, "kind"), f"found {name!r}; allowed are {kinds}")
        return None
    kind, given = KINDS[name], {key: value for key, value in raw.items() if key != "kind"}
    if not _belongs(name, kind, given, where, problems) or kind is None:
        return None
    before = len(problems.found)
    fields = _fields(kind.cls, given, where, reader, current)
    if len(problems.found) == before:
        with problems.at(*where):
            _times(name, fields, where, reader)
            if kind.cls is PulseTrain and "frequency" in given:
                with problems.at(*where, "frequency"):
                    fields["frequency"] = reader.quantity(given["frequency"], "Hz")
            return _make(kind.cls, fields, given, where, reader, current)
    return None


def _belongs(name: str, kind: Kind | None, given: dict[str, Any], where: Where, problems: Problems) -> bool:
    """Whether every key is one of this kind, and none is missing."""
    mine = [] if kind is None else [*_keys(kind)]
    everywhere = {key for k in KINDS.values() if k is not None for key in _keys(k)}
    fine = True
    for key in [key for key in given if key not in mine and key not in everywhere]:
        problems.add((*where, key), unknown(key, ["kind", *mine], "key"))
        fine = False
    if odd := sorted(key for key in given if key not in mine and key in everywhere):
        problems.add(where, f"a stimulus of kind {name!r} has no {' and no '.join(odd)}")
        fine = False
    missing = [] if kind is None else [key for key in kind.needs if key not in given]
    if "amplitude" in missing:
        problems.add(where, 'the amplitude is missing, for example amplitude = "50 pA" or "10 uA/cm^2"')
    elif missing and kind is not None:
        problems.add(
            where, f"a {name.replace('_', ' ')} needs {' and '.join(kind.needs[kind.needs[0] == 'amplitude' :])}"
        )
    return fine and not missing


def _keys(kind: Kind) -> dict[str, Declaration | None]:
    """The keys of a kind: declared fields with their declaration, others with None."""
    mine: dict[str, Declaration | None] = {}
    for f in dataclasses.fields(kind.cls):  # type: ignore[arg-type]
        if f.metadata.get(METADATA) or f.name in WORDS:
            mine[f.name] = f.metadata.get(METADATA)
    return mine | {key: mine.get(key) for key in kind.also}


def _fields(cls: type[Stimulus], given: dict[str, Any], where: Where, reader: Reader, current: str) -> dict[str, Any]:
    """The declared fields and words of a class that are given, in their units and within their limits."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        declaration = f.metadata.get(METADATA)
        if f.name not in given or (declaration and f.name == "samples"):
            continue
        value = given[f.name]
        if declaration:
            with reader.problems.at(*where, f.name):
                unit = current if declaration.unit == "uA/cm^2" else declaration.unit
                found[f.name] = number = reader.quantity(value, unit)
                if declaration.unit == "ms" and number < 0:
                    raise ValueError(f"must be at least 0; found {number:g}")
                if wrong := out_of_range(number, declaration):
                    raise ValueError(wrong)
        elif f.name in WORDS:
            wanted = WORDS[f.name]
            if not isinstance(value, wanted) or isinstance(value, bool):
                what = "a text in quotes" if wanted is str else "a whole number"
                reader.problems.add((*where, f.name), f"{what} is wanted; found {value!r}")
            else:
                found[f.name] = value
    if "carrier" in found:
        with reader.problems.at(*where, "carrier"):
            reader.membrane.carried_by(found["carrier"])
    return found


def _times(name: str, fields: dict[str, Any], where: Where, reader: Reader) -> None:
    start, stop = fields.get("start"), fields.get("stop")
    if stop is not None and stop <= (start or 0.0):
        what = name.replace("_", " ")
        raise ValueError(f"a {what} stops after it starts; found start {start or 0.0:g} ms and stop {stop:g} ms")
    if start is not None and start >= reader.duration:
        reader.problems.add((*where, "start"), f"found {start:g} ms, but the run ends at {reader.duration:g} ms")


def _make(
    cls: Any, fields: dict[str, Any], given: dict[str, Any], where: Where, reader: Reader, current: str
) -> Stimulus:
    if cls is CurrentCourse:
        fields.pop("interpolation", None)
        return CurrentCourse(course=_course(given, current, reader), **fields)
    if cls is Waveform:
        return _waveform(given, fields, current, reader)
    if cls is ConductanceClamp:
        return ConductanceClamp(_conductance(given["g"], (*where, "g"), reader), **fields)
    if cls is VoltageClamp:
        return VoltageClamp(_command(given.get("command"), reader), **(reader.clamp | fields))
    return cls(**fields)


def _command(raw: Any, reader: Reader) -> Any:
    if not isinstance(raw, dict):
        return None if raw is None else reader.quantity(raw, "mV")
    return _course(raw, "mV", reader) if "times" in raw else _waveform(raw, {}, "mV", reader)


def _conductance(raw: Any, where: Where, reader: Reader) -> Any:
    if not isinstance(raw, dict):
        return reader.quantity(raw, "mS/cm^2")
    if "times" in raw:
        return _course(raw, "mS/cm^2", reader)
    inner = _one(raw, where, reader, "mS/cm^2")
    if inner is None:
        raise ValueError("g is a conductance, a course with times and values, or a table such as that of a pulse train")
    return inner


def _course(raw: dict[str, Any], unit: str, reader: Reader) -> TimeCourse:
    times, values = raw.get("times"), raw.get("values")
    if not isinstance(times, list) or not isinstance(values, list):
        raise ValueError("a course in time has a list of times and a list of values")
    tau = None if raw.get("tau") is None else reader.quantity(raw["tau"], "ms")
    return TimeCourse(
        [reader.quantity(t, "ms") for t in times],
        [reader.quantity(x, unit) for x in values],
        raw.get("interpolation", "step"),
        tau,
    )


def _waveform(raw: dict[str, Any], fields: dict[str, Any], unit: str, reader: Reader) -> Waveform:
    """Samples from a CSV file, an ABF file, or the table itself."""
    for key, parse in (("scale", "1"), ("start", "ms")):
        if key in raw:
            fields[key] = reader.quantity(raw[key], parse)
    if "interpolation" in raw:
        fields["interpolation"] = raw["interpolation"]
    interval = reader.quantity(raw["interval"], "ms") if "interval" in raw else None
    whole: dict[str, Any] = {
        "to": unit, "area": float(np.asarray(reader.membrane.geometry.area)),
        "capacitance": float(np.asarray(reader.membrane.capacitance)),
    }  # fmt: skip
    sources = [key for key in ("csv", "abf", "samples") if key in raw]
    if len(sources) != 1:
        raise ValueError("a waveform has one source: csv = a file, abf = a file, or samples = a list")
    if sources == ["csv"]:
        if "column" not in raw:
            raise ValueError("a waveform from csv also needs the column: its name, or its number from 0")
        more = {key: raw[key] for key in ("time", "time_unit") if key in raw}
        return Waveform.from_csv(
            reader.folder / raw["csv"],
            raw["column"],
            raw.get("unit", unit),
            interval=interval,
            **more,
            **whole,
            **fields,
        )
    if sources == ["abf"]:
        more = {key: raw[key] for key in ("sweep", "channel", "command") if key in raw}
        return Waveform.from_abf(reader.folder / raw["abf"], **more, **whole, **fields)
    if interval is None or not isinstance(raw["samples"], list):
        raise ValueError("a waveform given by samples is a list of numbers and the interval between them")
    return Waveform([reader.quantity(x, unit) for x in raw["samples"]], interval, **fields)
