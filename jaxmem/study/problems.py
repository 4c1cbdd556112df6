"""Everything that is wrong with an experiment file, collected and said at once, each with its file, line and field."""

import contextlib
import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import pydantic

from jaxmem.study.toml_lines import Path, key_lines, nearest_line

Model = TypeVar("Model", bound=pydantic.BaseModel)


class ExperimentError(ValueError):
    """An experiment that cannot be run. ``problems`` are its lines, each ``file:line: field: what is wrong``."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclasses.dataclass(frozen=True)
class Override:
    """A value given in place of the file's: where (a dotted path), the value, and how it was written (``--seed 3``)."""

    path: str
    value: Any
    written: str

    @classmethod
    def parse(cls, text: str) -> "Override":
        """From ``path=value``; a value that is no TOML is a text: ``pump.i_max=1.2 uA/cm^2``."""
        path, equals, value = text.partition("=")
        if not equals or not path.strip() or not value.strip():
            raise ExperimentError([f"--set {text}: write path=value, for example --set run.dt=0.01"])
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        return cls(path.strip(), parsed, f"--set {' '.join(text.split())}")


def _plain(path: Path) -> Path:
    """``"sodium.g" = ...`` and ``sodium.g = ...`` are one thing here, and two in TOML."""
    return tuple(part for p in path for part in (p.split(".") if isinstance(p, str) else [p]))


class Problems:
    """The problems of one file so far."""

    def __init__(self, file: str | os.PathLike[str], text: str):
        self.file = os.fspath(file)
        self.lines = {_plain(path): line for path, line in key_lines(text).items()}
        self.overridden: dict[Path, str] = {}
        self.found: list[tuple[int, str]] = []
        self.places: set[Path] = set()

    def add(self, path: Path, message: str) -> None:
        """Note what is wrong at a path; a message of several lines is several problems."""
        path = _plain(path)
        self.places.add(path)
        field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        place, line = self._place(path)
        tails = [".".join(map(str, path[i:])) for i in range(len(path))]  # the field need not be named twice
        for text in message.splitlines():
            for tail in (field, *tails):
                text = text.removeprefix(f"{tail}: ").removeprefix(f"{tail} ")
            said = line, f"{place}: {field}: {text}" if field else f"{place}: {text}"
            if said not in self.found:
                self.found.append(said)

    def override(self, path: Path, written: str) -> None:
        """What is wrong at this path is not the file's doing."""
        self.overridden[_plain(path)] = written

    def touches(self, *path: str | int) -> bool:
        """Whether something is wrong at this path."""
        return _plain(path) in self.places

    def _place(self, path: Path) -> tuple[str, int]:
        inside = [given for given in self.overridden if path[: len(given)] == given or given[: len(path)] == path]
        if inside and path:
            return self.overridden[inside[-1]], 0
        line = nearest_line(self.lines, path)
        return f"{self.file}:{line}", line

    @contextlib.contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """A ValueError inside is a problem at this path, and no reason to stop looking."""
        try:
            yield
        except ExperimentError:
            raise
        except (ValueError, OSError) as error:
            self.add(path, str(error))

    def stop(self) -> None:
        """Raise ExperimentError if anything was found, in the order of the file."""
        if self.found:
            raise ExperimentError([text for _, text in sorted(self.found, key=lambda x: x[0])])

    def table(self, model: type[Model], raw: Any, *path: str | int) -> Model | None:
        """``raw`` as this model.

        What is wrong is noted and left out, so that the rest can be looked at; None where what is left is not enough.
        """
        if not isinstance(raw, dict):
            self.add(path, f"found {raw!r}; a table is wanted, with {_listed(model.model_fields)}")
            return None
        given, said = dict(raw), False
        while True:
            try:
                return model.model_validate(given)
            except pydantic.ValidationError as error:
                before = len(given)
                odd = [str(e["loc"][-1]) for e in error.errors() if e["type"] == "extra_forbidden"]
                for e in error.errors():
                    missing = e["type"] == "missing"
                    # of a key that is misspelt one need not say that it is missing
                    if not missing or not (said or difflib.get_close_matches(str(e["loc"][0]), odd, cutoff=0.6)):
                        self.add((*path, *e["loc"]), explain(model, e))
                    given.pop(e["loc"][0] if e["loc"] else None, None)
                said = True
                if len(given) == before:
                    return None


def explain(model: type[pydantic.BaseModel], error: Any) -> str:
    """A pydantic error in plain words: what was found, what is allowed."""
    kind, found, context, loc = error["type"], error["input"], error.get("ctx", {}), error["loc"]
    if kind == "extra_forbidden":
        return unknown(str(loc[-1]), model.model_fields, "key")
    if kind == "missing":
        field = model.model_fields.get(str(loc[0]))
        about = f"; it is {field.description}" if field is not None and field.description else ""
        return f"is missing{about}"
    if kind == "literal_error":
        return f"found {found!r}; allowed are {context['expected'].replace(' or ', ', ')}"
    if kind == "value_error":
        return str(context["error"])
    said = {
        "greater_than": lambda: f"must be above {context['gt']:g}",
        "greater_than_equal": lambda: f"must be at least {context['ge']:g}",
        "less_than": lambda: f"must be below {context['lt']:g}",
        "less_than_equal": lambda: f"must be at most {context['le']:g}",
        "finite_number": lambda: "must be finite",
        "int_type": lambda: "a whole number is wanted",
        "int_from_float": lambda: "a whole number is wanted",
        "string_type": lambda: "a text in quotes is wanted",
        "bool_type": lambda: "true or false is wanted",
        "list_type": lambda: "a list in square brackets is wanted",
        "dict_type": lambda: "a table is wanted",
        "float_type": lambda: "a number is wanted",
    }.get(kind, lambda: error["msg"][0].lower() + error["msg"][1:])()
    return f"{said}; found {f'{found:g}' if isinstance(found, float) else repr(found)}"


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """ "there is no key 'celcius' here", with the nearest ones or all."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {_listed(known)}"
    return f"there is no {what} {name!r} here; {hint}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
