"""From ``[output] measures`` of an experiment file to measures: names, ``module:name``, or tables with arguments."""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from jaxmem import units
from jaxmem.engine.measures import GRID, Measure
from jaxmem.engine.request import find_measure, measure_class, measure_name
from jaxmem.membrane.mechanism import METADATA
from jaxmem.membrane.membrane import Membrane
from jaxmem.study.problems import Problems, unknown

USUAL = ("resting_potential", "drift", "spike_count", "firing_rate", "first_spike_time", "concentration_change", "atp")


def measures(
    wanted: list[Any] | None, membrane: Membrane, folder: pathlib.Path, problems: Problems
) -> dict[str, str | Measure]:
    """The measures asked for, by the name of their results; those a report needs where nothing is said.

    Modules are looked for beside the experiment file too.
    """
    if wanted is None:
        return {name: name for name in USUAL if name != "atp" or "atp" in membrane.species}
    found: dict[str, str | Measure] = {}
    with _importable(folder):
        for i, entry in enumerate(wanted):
            where = ("output", "measures", i)
            with problems.at(*where):
                name, measure = _entry(entry)
                counted = getattr(find_measure(measure) if isinstance(measure, str) else measure, "species", None)
                if counted is not None and counted not in membrane.species:
                    told = " that counts ATP" if counted == "atp" else f"; there are {', '.join(membrane.species)}"
                    raise ValueError(f"this membrane has no species {counted!r}{told}")
                if name in found and found[name] != measure:
                    raise ValueError(f"two measures are called {name!r}; give one of them another name")
                found[name] = measure
    return found


def _entry(entry: Any) -> tuple[str, str | Measure]:
    """The name of the results, and a known measure's name or the measure itself."""
    if isinstance(entry, str):
        return measure_name(entry), find_measure(entry) if ":" in entry else entry
    if not isinstance(entry, dict) or not isinstance(entry.get("measure"), str):
        raise ValueError(
            f'found {entry!r}; a name is wanted, or a table such as {{ measure = "spike_times", count = 50 }}'
        )
    kind, name = entry["measure"], entry.get("name", measure_name(entry["measure"]))
    if not isinstance(name, str) or not name:
        raise ValueError(f"found the name {name!r}; a text is wanted")
    settable = arguments(measure_class(kind))
    given = {}
    for key, value in entry.items():
        if key in ("measure", "name"):
            continue
        if key not in settable:
            raise ValueError(unknown(key, ["measure", "name", *settable], "key"))
        given[key] = _value(settable[key], value)
    return name, find_measure(kind, **given)


def arguments(kind: Any) -> dict[str, dataclasses.Field]:
    """What may be said of a measure: its fields, but for those that a run fills in."""
    kind = getattr(kind, "func", kind)  # a name of eFEL is a class with arguments
    if not dataclasses.is_dataclass(kind):
        return {}
    return {f.name: f for f in dataclasses.fields(kind) if f.init and GRID not in f.metadata}


def _value(field: dataclasses.Field, value: Any) -> Any:
    """A value in the field's unit; of a field without a unit as it is."""
    declared = field.metadata.get(METADATA)
    several = "tuple" in str(field.type)
    if several != isinstance(value, list):
        wanted = "a list of two values" if several else "one value"
        raise ValueError(f"{field.name}: found {value!r}; {wanted} is wanted")
    if several and len(value) != 2:
        raise ValueError(f"{field.name}: found {len(value)} values; two are wanted")
    read = lambda x: units.parse_quantity(x, declared.unit, where=field.name) if declared else x
    return tuple(map(read, value)) if several else read(value)


@contextlib.contextmanager
def _importable(folder: pathlib.Path) -> Iterator[None]:
    """Modules in this folder can be imported meanwhile."""
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)
