"""What is asked at each point of a scan: the interface that resting states, simulations, fits and functions share."""

import functools
import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.parameters import Parameter
from jaxmem.study.tree import encode

OK = 0
ERROR, POISON = 90, 91  # of any question; those below are the question's own
INVALID = 100  # and above: axis i has a value that the parameter cannot take
STATUS = "status"


class Output(NamedTuple):
    """One number per point, or ``entries`` of them. ``codes``: what whole numbers stand for."""

    unit: str
    description: str
    dtype: np.dtype
    entries: int | None = None
    codes: dict[int, str] | None = None


class Question(eqx.Module):
    """A question that has an answer at every point, whatever its company: the same bits alone and among a million.

    A final class states ``kind``, ``declarations``, ``answer`` and the words for its statuses. It is pickled to workers
    and, where all of it can be stored, kept with the results, so that any point can be asked again.
    """

    @property
    @abstractmethod
    def kind(self) -> str:
        """A word: what is asked."""

    @property
    @abstractmethod
    def known(self) -> dict[str, Parameter]:
        """What an axis may be: value of the typical cell, unit and meaning by path."""

    @property
    @abstractmethod
    def declarations(self) -> dict[str, Declaration]:
        """The same paths: which values they may take."""

    @property
    @abstractmethod
    def fates(self) -> dict[int, tuple[str, str]]:
        """What can become of a point: (NAME, reason) by code below 90; 0 is good."""

    @property
    def whole_cell(self) -> dict[str, Any]:
        """``area`` (um^2) and ``capacitance`` (uF/cm^2) of the typical cell, for numbers given per cell or per farad."""
        return {}

    @property
    def most(self) -> int:
        """Points of one chunk beyond which nothing is gained."""
        return 65_536

    @property
    def working_bytes(self) -> int:
        """What a point takes in memory while it is worked on, about."""
        return 64

    @abstractmethod
    def answer(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> tuple[dict[str, np.ndarray], dict]:
        """The numbers at points with these ``values`` (n,) by path and these places in the design (``index``, int64).

        Every number is (n,) or (entries, n), and "status" is among them; with them (unit, description, codes or None)
        by name.
        """

    def ask(self, values: Mapping[str, np.ndarray], index: np.ndarray) -> dict[str, np.ndarray]:
        """Every output at these points. Raises what the question raises where a point cannot be asked at all."""
        found, _ = self.answer(values, index)
        return {name: np.asarray(found[name], told.dtype) for name, told in self.outputs.items()}

    @functools.cached_property
    def outputs(self) -> dict[str, Output]:
        """What there is to know of a point, found by asking at the typical one."""
        known = self.known
        typical = {path: np.full(1, float(np.asarray(known[path].value))) for path in list(known)[:1]}
        found, told = self.answer(typical, np.zeros(1, np.int64))
        outputs = {}
        for name, x in found.items():
            x, (unit, description, codes) = np.asarray(x), told[name]
            outputs[name] = Output(unit, description, x.dtype, x.shape[0] if x.ndim > 1 else None, codes)
        return outputs

    @functools.cached_property
    def identity(self) -> str:
        """A digest of every number and word that decides the answers."""
        structure, leaves, lost = encode(self, "question")
        digest = hashlib.sha256(json.dumps([type(self).__qualname__, structure, lost]).encode())
        for name, leaf in leaves.items():
            digest.update(f"{name} {leaf.values.dtype} {leaf.values.shape}".encode())
            digest.update(np.ascontiguousarray(leaf.values).tobytes())
        return digest.hexdigest()


def apart(values: Mapping[str, Any], *groups: str) -> tuple[dict[str, Any], ...]:
    """Values by path without these prefixes (``stimulus.``), first the ones that have none of them."""
    rest = {p: x for p, x in values.items() if not p.startswith(tuple(f"{g}." for g in groups))}
    return rest, *({p.removeprefix(f"{g}."): x for p, x in values.items() if p.startswith(f"{g}.")} for g in groups)
