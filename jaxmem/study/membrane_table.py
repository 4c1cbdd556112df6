"""From [membrane] of an experiment file to the membrane of one cell, noting all that is wrong on the way."""

import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

import equinox as eqx

from jaxmem import units
from jaxmem.analysis.balance import balance
from jaxmem.membrane import presets
from jaxmem.membrane.check import MembraneError, check
from jaxmem.membrane.geometry import AreaVolume, Cylinder, Geometry, Sphere
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared, path_error
from jaxmem.membrane.species import Species, impermeant
from jaxmem.study import tables
from jaxmem.study.mechanism_table import line, mechanisms
from jaxmem.study.problems import Problems, unknown

EMPTY = "none"  # the preset of a membrane that is all in the file
OTHER = "other"  # the species that stands for all impermeant charge


def membrane(
    table: tables.MembraneTable, folder: pathlib.Path, problems: Problems, notes: list[str]
) -> Membrane | None:
    """The membrane of one cell; None where there is not enough to go on."""
    preset = _preset(table, problems)
    if preset is None:
        return None
    before = len(problems.found)
    species = _species(table, preset, folder, problems)
    geometry = _geometry(table, preset, problems)
    capacitance = preset.capacitance if table.capacitance is None else table.capacitance
    said = len(problems.found)
    parts = mechanisms(table.mechanisms, preset, geometry.area, capacitance, folder, problems)
    if len(problems.found) > said:  # their parameters would be called unknown, which they are not
        return None
    result = preset
    with problems.at("membrane"):
        result = Membrane(
            parts,
            species,
            capacitance,
            preset.celsius if table.celsius is None else table.celsius,
            preset.initial_v,
            geometry,
            water=preset.water,
        )
    given, whole = _parameters(table.parameters, result, problems), False
    with problems.at("membrane"):
        result = result.with_parameters(given)
        try:
            check(result)
        except MembraneError:
            raise
        except Exception as error:  # of a mechanism of the user's, whose methods were asked for the first time
            told = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}{line(error)}"
            text = f"a mechanism cannot be computed: {told}; jaxmem.testing.check_mechanism looks closer"
            raise MembraneError(text) from error
        whole = True
    if not whole:  # what is missing in it would be missed everywhere
        return None
    if table.balance is not None:
        wanted = problems.table(tables.BalanceTable, table.balance, "membrane", "balance")
        if wanted is not None and len(problems.found) == before:
            result = _balanced(wanted, result, given, problems, notes)
    return result


def _preset(table: tables.MembraneTable, problems: Problems) -> Membrane | None:
    """The published membrane to start from; for "none" an empty one, a sphere of 10 um at 1 uF/cm^2."""
    if table.preset == EMPTY:
        if table.celsius is None:
            problems.add(("membrane", "celsius"), "is missing; a membrane without a preset needs its temperature")
        if not table.mechanisms:
            problems.add(("membrane", "mechanisms"), "is missing; a membrane without a preset needs some")
        if problems.touches("membrane", "celsius") or problems.touches("membrane", "mechanisms"):
            return None
        return Membrane({}, {})
    try:
        return presets.get(table.preset)
    except ValueError as error:
        problems.add(("membrane", "preset"), str(error))
        return None


def _parameters(written: Mapping[str, Any], membrane: Membrane, problems: Problems) -> dict[str, float]:
    """[membrane.parameters] in documented units, those that are right."""
    given = {}
    for path, text in written.items():
        with problems.at("membrane", "parameters", path):
            try:
                given[path] = number(text, path, membrane)
                membrane.with_parameters({path: given[path]})
            except Exception:
                given.pop(path, None)
                raise
    return given


def number(text: Any, path: str, membrane: Membrane) -> Any:
    """A value for a parameter, in its unit; of the whole cell by the membrane's area, per farad by its capacitance."""
    known = {path: d for path, _, d in declared(membrane, absent=True)}
    if path not in known:
        raise path_error(path, list(known))
    return units.parse_quantity(text, known[path].unit, area=membrane.geometry.area, capacitance=membrane.capacitance)


def _balanced(
    table: tables.BalanceTable, membrane: Membrane, given: dict[str, float], problems: Problems, notes: list[str]
) -> Membrane:
    """The membrane standing still at v, except for what is given by hand, which wins over what the balance found."""
    with problems.at("membrane", "balance"):
        still = balance(membrane, v=table.v, solve_for=table.solve_for)
        known = still.parameters()
        again = {path: x for path, x in given.items() if x != known[path].value}
        for path, x in again.items():
            found = known[path]
            needed = f"{found.value:.4g} {found.unit} that the balance at {table.v:g} mV needs"
            notes.append(f"{path} is {x:g} {found.unit} as given, not the {needed}")
        return still.with_parameters(again)
    return membrane


def _geometry(table: tables.MembraneTable, preset: Membrane, problems: Problems) -> Geometry:
    given = problems.table(tables.GeometryTable, table.geometry, "membrane", "geometry")
    if given is None or not table.geometry:
        return preset.geometry
    fraction = (
        preset.geometry.outside_volume_fraction
        if given.outside_volume_fraction is None
        else given.outside_volume_fraction
    )
    if given.capacitance is not None:
        specific = preset.capacitance if table.capacitance is None else table.capacitance
        round_cell = Sphere.from_capacitance(given.capacitance, specific)
        return Sphere(float(round_cell.radius), fraction)
    if given.radius is not None:
        return Sphere(given.radius, fraction)
    if given.diameter is not None and given.length is not None:
        return Cylinder(given.diameter, given.length, fraction)
    if given.area is not None and given.volume is not None:
        return AreaVolume(given.area, given.volume, fraction)
    if given.kind == "sphere" and not isinstance(preset.geometry, Sphere):
        problems.add(("membrane", "geometry"), "a sphere needs a radius or a capacitance")
    return eqx.tree_at(lambda g: g.outside_volume_fraction, preset.geometry, fraction)


# ---------------------------------------------------------------------- [membrane.species]
def _species(
    table: tables.MembraneTable, preset: Membrane, folder: pathlib.Path, problems: Problems
) -> dict[str, Species]:
    """The species of the preset, with the set's and the file's own numbers in place of the preset's."""
    where = ("membrane", "species")
    special = {k: x for k, x in table.species.items() if k in tables.SpeciesSetTable.model_fields}
    head = problems.table(tables.SpeciesSetTable, special, *where) or tables.SpeciesSetTable()
    own: dict[str, tables.SpeciesTable] = {}
    for name, raw in table.species.items():
        if name in special:
            continue
        if not isinstance(raw, dict):
            keys = [*tables.SpeciesSetTable.model_fields, *preset.species]
            problems.add(
                (*where, name),
                f"found {raw!r}; a species is a table such as {{inside = 9, outside = 140}}. "
                f"If no species is meant: {unknown(name, keys, 'key')}",
            )
        elif entry := problems.table(tables.SpeciesTable, raw, *where, name):
            own[name] = entry
    shared, other = _set(head, folder, problems)
    found = dict(preset.species)
    if shared:  # charges are as the set has them; what is only counted or carries none stays
        found = {k: s for k, s in found.items() if s.counted_only or not s.valence or k in shared}
    for name, entry in [*shared.items(), *own.items()]:
        with problems.at(*where, name):
            found[name] = _one(entry, found.get(name))
    for path, text in table.parameters.items():  # before the charge is balanced; checked with all parameters
        name, _, side = path.rpartition(".")
        if name in found and side in ("inside", "outside") and not found[name].counted_only:
            try:
                found[name] = eqx.tree_at(
                    lambda s, side=side: getattr(s, side), found[name], units.parse_quantity(text, "mM")
                )
            except units.UnitError:
                pass
    if head.dynamic is not None:
        found = _dynamic(head.dynamic, found, problems)
    if (head.other or other) and OTHER not in own:
        with problems.at(*where, *([OTHER] if head.other else ["set"])):
            charges = {k: s for k, s in found.items() if k != OTHER}
            found[OTHER] = impermeant(charges)
    return found


def _one(entry: tables.SpeciesTable, before: Species | None) -> Species:
    """A species as the entry says, and where that is silent as it was before."""
    old: dict[str, Any] = {} if before is None else {f: getattr(before, f) for f in tables.SpeciesTable.model_fields}
    new = {f: getattr(entry, f) for f in entry.model_fields_set}
    if before is None and "valence" not in new:
        raise ValueError("a new species needs a valence")
    return Species(**(old | new))


def _set(
    head: tables.SpeciesSetTable, folder: pathlib.Path, problems: Problems
) -> tuple[dict[str, tables.SpeciesTable], bool]:
    """The species of a published set, and whether impermeant charge balances it."""
    where = ("membrane", "species")
    if head.file is None:
        if head.set is not None:
            problems.add((*where, "set"), 'a set comes from a file: add file = "species.toml"')
        return {}, False
    path = folder / head.file
    try:
        sets = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.add((*where, "file"), f"there is no file {path} (paths are relative to the experiment file)")
        return {}, False
    except (OSError, ValueError) as error:
        problems.add((*where, "file"), f"{path} cannot be read: {error}")
        return {}, False
    if head.set is None:
        problems.add(where, f"say which set of {head.file}: there are {', '.join(sets)}")
        return {}, False
    if head.set not in sets:
        problems.add((*where, "set"), unknown(head.set, sets, "set"))
        return {}, False
    chosen, found = sets[head.set], {}
    for name, raw in chosen.get("species", {}).items():
        numbers = {k: x for k, x in raw.items() if k in tables.SpeciesTable.model_fields}
        if entry := problems.table(tables.SpeciesTable, numbers, *where, "set", head.set, name):
            found[name] = entry
    return found, chosen.get(OTHER) == "balances charge"


def _dynamic(wanted: list[str], species: dict[str, Species], problems: Problems) -> dict[str, Species]:
    """Exactly these are dynamic: "na" (inside) or "k.outside"."""
    sides: dict[str, tuple[str, ...]] = {}
    for i, text in enumerate(wanted):
        name, _, side = text.partition(".")
        if name not in species or side not in ("", "inside", "outside"):
            problems.add(
                ("membrane", "species", "dynamic", i),
                f"found {text!r}; a species such as 'na' or 'k.outside' is wanted, of {', '.join(species)}",
            )
        else:
            sides[name] = (*sides.get(name, ()), side or "inside")
    changed = {}
    for name, s in species.items():
        with problems.at("membrane", "species", "dynamic"):
            fields = {f: getattr(s, f) for f in tables.SpeciesTable.model_fields}
            changed[name] = Species(**(fields | {"dynamic": sides.get(name, ())}))
    return species | changed
