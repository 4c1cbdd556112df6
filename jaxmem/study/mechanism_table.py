"""[membrane.mechanisms]: mechanisms from classes, jaxmem's own by their name and a user's by ``module:name``.

A file that names a module runs that module when it is read: of files by strangers look at the text first.
"""

import importlib
import importlib.util
import inspect
import os
import pathlib
import sys
import threading
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

import jaxmem
from jaxmem import units
from jaxmem.membrane.mechanism import METADATA, Declaration, Mechanism
from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.study.problems import Problems, unknown

PLACE = ("membrane", "mechanisms")
KEYS = ("type", "remove")  # of the table, which no mechanism has for a field
NOT_THEIRS = ("jaxmem", "jax", "jaxlib", "equinox", "numpy", "importlib")
_IMPORTING = threading.Lock()  # the search path belongs to the whole process


def mechanisms(
    table: Mapping[str, Any], before: Membrane, area: Any, capacitance: Any, folder: pathlib.Path, problems: Problems
) -> dict[str, Mechanism]:
    """The mechanisms of ``before`` with those of the table added, changed in some fields, replaced or removed."""
    found = {name: before.mechanisms[name] for name in before.order}
    for name, raw in table.items():
        place = (*PLACE, name)
        if not isinstance(raw, dict):
            problems.add(place, f'found {raw!r}; a table is wanted, such as {{ type = "Leak", g = 0.1, ion = "k" }}')
        elif raw.get("remove", False) is not False:
            _remove(name, raw, found, problems)
        else:
            old = found.get(name)
            cls = type(old) if "type" not in raw and old is not None else None
            if cls is None:
                with problems.at(*place, *(["type"] if "type" in raw else [])):
                    cls = mechanism_class(raw.get("type"), folder, name, list(found))
            base = old if cls is not None and isinstance(old, cls) and "type" not in raw else None
            if cls is not None and (built := _built(cls, raw, base, area, capacitance, problems, place)) is not None:
                found[name] = built
    return found


def _remove(name: str, raw: Mapping[str, Any], found: dict[str, Mechanism], problems: Problems) -> None:
    if raw["remove"] is not True or len(raw) > 1:
        problems.add((*PLACE, name), "what is removed has remove = true and nothing else")
    elif name not in found:
        problems.add((*PLACE, name), unknown(name, found, "mechanism"))
    else:
        del found[name]


# ---------------------------------------------------------------------- classes
def shipped() -> dict[str, type[Mechanism]]:
    """jaxmem's own mechanisms by name."""
    homes = {name: home for name, home in jaxmem._HOME.items() if home.startswith("jaxmem.membrane.")}
    classes = {name: getattr(jaxmem, name) for name in homes}
    return {
        name: c for name, c in classes.items() if inspect.isclass(c) and issubclass(c, Mechanism) and c is not Mechanism
    }


def mechanism_class(
    address: Any, folder: pathlib.Path, name: str = "", there: typing.Iterable[str] = ()
) -> type[Mechanism]:
    """The class at ``module:Name`` (found beside the experiment file or on the path), or one of jaxmem's own by name.

    Raises ValueError where there is none, with what went wrong when the module was imported.
    """
    if address is None:
        known = f" (to change one of the membrane's own, take its name: {', '.join(there)})" if there else ""
        raise ValueError(f'a new mechanism needs a type, such as type = "Leak" or type = "my_channels:Kv7"{known}')
    if not isinstance(address, str):
        raise ValueError(f'found {address!r}; a text is wanted, such as "Leak" or "my_channels:Kv7"')
    module, colon, path = address.partition(":")
    if not colon:
        if address not in shipped():
            raise ValueError(
                f"{unknown(address, shipped(), 'mechanism of jaxmem')} (one of your own is written module:Name)"
            )
        return shipped()[address]
    if not all(part.isidentifier() for part in [*module.split("."), path]):
        raise ValueError(f'found {address!r}; a module and a class in it are wanted, such as "my_lab.channels:Kv7"')
    found = getattr(imported := _imported(module, folder), path, None)
    if found is None:
        classes = [k for k, x in vars(imported).items() if inspect.isclass(x) and issubclass(x, Mechanism)]
        raise ValueError(
            f"{module}: {unknown(path, [k for k in classes if k != 'Mechanism'] or ['none'], 'mechanism')}"
        )
    if not (inspect.isclass(found) and issubclass(found, Mechanism)) or found is Mechanism:
        raise ValueError(f"{address} is no mechanism: it has to be a class derived from jaxmem.Mechanism")
    return found


def _imported(module: str, folder: pathlib.Path) -> types.ModuleType:
    """A module, looked for in the experiment file's folder first, as Python does beside a script."""
    place = str(folder.resolve())
    top = module.split(".")[0]
    with _IMPORTING:
        sys.path.insert(0, place)
        try:
            importlib.invalidate_caches()
            if (known := sys.modules.get(top)) is not None:
                _same(top, known, place)
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (error.name == module or module.startswith(f"{error.name}.")):
                raise ValueError(
                    f"there is no module {module!r} in {place} nor on Python's path (PYTHONPATH can name its folder)"
                ) from None
            raise ValueError(f"the module {module!r} needs {error.name!r}, which is not installed here") from error
        except ValueError:
            raise
        except Exception as error:  # the module is the user's, and whatever it raises is what has to be mended
            raise ValueError(
                f"the module {module!r} cannot be imported: {type(error).__name__}: {error}{line(error)}"
            ) from error
        finally:
            sys.path.remove(place)


def _same(name: str, known: types.ModuleType, place: str) -> None:
    """Python knows one module of a name: another file's must not be taken for the one meant."""
    here = [
        p for p in (os.path.join(place, f"{name}.py"), os.path.join(place, name, "__init__.py")) if os.path.isfile(p)
    ]
    loaded = getattr(known, "__file__", None)
    if here and (loaded is None or os.path.realpath(loaded) != os.path.realpath(here[0])):
        raise ValueError(
            f"Python has loaded another module called {name!r} ({loaded or 'built in'}) and cannot take {here[0]} as well; "
            "give the file another name"
        )


def line(error: Exception) -> str:
    """Where an exception was raised: the innermost line that is neither a library's nor ours."""
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"
    trace, told = error.__traceback__, ""
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in NOT_THEIRS:
            told = f" ({frame.f_code.co_filename}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return told


# ---------------------------------------------------------------------- fields
def _built(
    cls: type[Mechanism], raw: Mapping[str, Any], base: Mechanism | None, area: Any, capacitance: Any,
    problems: Problems, place: tuple[str, ...],
) -> Mechanism | None:  # fmt: skip
    """The mechanism with the fields given, the others as in ``base`` or by default; None where something is wrong."""
    known = {f.name: f for f in fields(cls) if f.init}  # type: ignore[arg-type]
    before = len(problems.found)
    given: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in known}
    hints = _hints(cls)
    for key, written in raw.items():
        if key in KEYS and key not in known:
            continue
        if key not in known:
            problems.add((*place, key), unknown(key, [*known, *KEYS], "field"))
            continue
        with problems.at(*place, key):
            given[key] = _value(written, known[key], hints.get(key), area, capacitance)
    for key, field in known.items():
        if key not in given and key not in raw and field.default is MISSING and field.default_factory is MISSING:
            d: Declaration | None = field.metadata.get(METADATA)
            problems.add((*place, key), f"is missing; it is the {d.description} ({d.unit})" if d else "is missing")
    if len(problems.found) > before:
        return None
    with problems.at(*place):
        try:
            return cls(**given)
        except (ValueError, OSError):
            raise
        except Exception as error:  # its own constructor's
            raise ValueError(f"{cls.__name__} cannot be made of this: {type(error).__name__}: {error}") from error
    return None


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # an annotation that cannot be resolved tells nothing
        return {}


def _value(written: Any, field: Field, hint: Any, area: Any, capacitance: Any) -> Any:
    """A field's value: a number in its unit, or a text, whole number or yes or no for a field that is no number."""
    declaration: Declaration | None = field.metadata.get(METADATA)
    optional = type(None) in typing.get_args(hint) or field.default is None
    if optional and written == "none":
        return None
    if declaration is not None:
        value = units.parse_quantity(written, declaration.unit, area=area, capacitance=capacitance)
        if problem := out_of_range(value, declaration):
            raise ValueError(problem)
        return value
    if not field.metadata.get("static"):
        raise ValueError("a file can give numbers declared with jaxmem.parameter and static fields; this is neither")
    if isinstance(written, list):
        written = tuple(written)
    allowed = [t for t in (typing.get_args(hint) or (hint,)) if t in (str, int, float, bool)]
    if typing.get_origin(hint) is typing.Literal:
        if written not in typing.get_args(hint):
            raise ValueError(f"found {written!r}; allowed are {', '.join(map(repr, typing.get_args(hint)))}")
    elif allowed and type(written) not in allowed and not (float in allowed and type(written) is int):
        words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        told = " or ".join(words[t] for t in allowed) + (" or 'none'" if optional else "")
        raise ValueError(f"found {written!r}; {told} is wanted")
    return written
