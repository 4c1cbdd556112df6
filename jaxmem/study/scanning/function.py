"""A question to a function: closed forms, and whatever else is computed from the numbers of many points at once."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from types import CodeType

import equinox as eqx
import numpy as np

from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.parameters import Parameter
from jaxmem.study.scanning.question import STATUS, Question

UNANSWERED = 1


class Function(Question):
    """``function({path: (n,) array}) -> {name: (n,) array}``, elementwise; points where it is not finite have failed.

    ``gives``: (unit, meaning) of each number by name. ``takes``: (typical value, unit, meaning) of each number that an
    axis may be. For workers of their own process the function must be importable: the function of a module.
    """

    function: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]] = eqx.field(static=True)
    gives: dict[str, tuple[str, str]]
    takes: dict[str, tuple[float, str, str]]

    @property
    def kind(self) -> str:
        return "function"

    @property
    def known(self) -> dict[str, Parameter]:
        return {path: Parameter(*told) for path, told in self.takes.items()}

    @property
    def declarations(self) -> dict[str, Declaration]:
        return {path: Declaration(unit, meaning) for path, (_, unit, meaning) in self.takes.items()}

    @property
    def fates(self) -> dict[int, tuple[str, str]]:
        return {0: ("OK", "ok"), UNANSWERED: ("NOT_FINITE", "the function gave no finite number")}

    @property
    def most(self) -> int:
        return 2**20

    def answer(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> tuple[dict[str, np.ndarray], dict]:
        typical = {path: np.full(len(index), x) for path, (x, _, _) in self.takes.items()}
        given = self.function(typical | {path: np.asarray(x, float) for path, x in values.items()})
        found = {name: np.broadcast_to(np.asarray(given[name], float), (len(index),)) for name in self.gives}
        sound = np.all([np.isfinite(x) for x in found.values()], axis=0)
        found = {name: np.where(sound, x, np.nan) for name, x in found.items()}
        found[STATUS] = np.where(sound, 0, UNANSWERED).astype(np.int32)
        told = {name: (*about, None) for name, about in self.gives.items()}
        return found, told | {STATUS: ("1", "what became of the point", {0: "ok", UNANSWERED: "not_finite"})}

    @functools.cached_property
    def identity(self) -> str:
        code = getattr(self.function, "__code__", None)
        where = f"{self.function.__module__}:{self.function.__qualname__} {self.gives} {self.takes}"
        return hashlib.sha256((where if code is None else where + _told(code)).encode()).hexdigest()


def _told(code: CodeType) -> str:
    """What a function does, the same in every process: functions within it have addresses, and sets no order."""
    constants = [
        _told(x) if isinstance(x, CodeType) else sorted(map(repr, x)) if isinstance(x, frozenset) else x
        for x in code.co_consts
    ]
    return repr((code.co_code, code.co_names, code.co_varnames, constants))
