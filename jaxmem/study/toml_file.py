"""The text of an experiment file and its raw tables, before anything in them is understood."""

import itertools
import os
import pathlib
import tomllib
from collections.abc import Set
from typing import Any

from jaxmem.study.problems import ExperimentError, Override, Problems


def read(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """Text and tables. Raises ExperimentError for what is no TOML in UTF-8, OSError where the file cannot be read."""
    try:
        text = pathlib.Path(path).read_bytes().decode("utf-8").replace("\r\n", "\n")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ExperimentError(
            [f"{path}: this is no text file in UTF-8 ({error.reason} at byte {error.start})"]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError([_syntax(path, text, error)]) from None


def flat(table: dict[str, Any], leaves: Set[str], before: str = "") -> dict[str, Any]:
    """``sodium.g = 50`` is a table in a table to TOML; here it is the path ``sodium.g``.

    A table with a key of ``leaves`` is a value: it is left as it is.
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value and not leaves & {k for k, x in value.items() if not isinstance(x, dict)}:
            found |= flat(value, leaves, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def put(raw: dict[str, Any], parts: list[str], change: Override, problems: Problems) -> None:
    """Put a value into the raw tables at these keys (indices in lists); tables on the way are made."""
    place: Any = raw
    for part, following in itertools.pairwise(parts):
        if isinstance(place, list):
            inside = part.isdigit() and int(part) < len(place)
            place = place[int(part)] if inside else None
        else:
            place = place.setdefault(part, [] if following.isdigit() else {})
        if not isinstance(place, dict | list):
            raise ExperimentError([f"{change.written}: there is no {change.path!r} to set"])
    problems.override(tuple(int(p) if p.isdigit() else p for p in parts), change.written)
    if isinstance(place, dict):
        place[parts[-1]] = change.value
    elif parts[-1].isdigit() and int(parts[-1]) < len(place):
        place[int(parts[-1])] = change.value
    else:
        raise ExperimentError([f"{change.written}: there is no {change.path!r} to set"])


def _syntax(path: Any, text: str, error: tomllib.TOMLDecodeError) -> str:
    """tomllib's complaint in our form."""
    said, _, place = str(error).partition(" (at ")
    line = (
        place.removeprefix("line ").partition(",")[0] if place.startswith("line") else str(len(text.splitlines()) or 1)
    )
    return f"{path}:{line}: this is not valid TOML: {said[0].lower() + said[1:]} ({place.rstrip(')') or 'at the end'})"
