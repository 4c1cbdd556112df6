"""All that is done to a membrane in a run: a stimulus, and changes of its parameters in time."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Declaration
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import PathError, declared, map_declared, path_error, replaced, unset
from jaxmem.rig.drive import Driver
from jaxmem.rig.stimuli import ConstantCurrent, Stimulus


class Window(eqx.Module):
    """A stretch of ``steps`` steps from step ``first`` on."""

    first: jax.Array
    steps: ArrayLike


class ChangeOnGrid(eqx.Module):
    """A change of one parameter, in steps of a run."""

    path: eqx.AbstractVar[str]

    @abc.abstractmethod
    def mean(self, before: ArrayLike, window: Window, dtype: Any) -> ArrayLike:
        """The parameter over a window, where without the change it would be ``before``."""

    @abc.abstractmethod
    def level(self, before: ArrayLike, step: jax.Array, dtype: Any) -> ArrayLike:
        """The parameter at the beginning of a step."""


class Change(eqx.Module):
    """A parameter of the membrane that changes in time: base of schedules and drugs. ``path`` says which."""

    path: eqx.AbstractVar[str]

    @abc.abstractmethod
    def on_grid(self, dt: float) -> ChangeOnGrid:
        """The same change in steps of dt ms."""

    @abc.abstractmethod
    def at(self, before: ArrayLike, t: jax.Array) -> ArrayLike:
        """The parameter at time t (ms), where without the change it would be ``before``."""

    def refused(self, declaration: Declaration) -> str | None:
        """Why it cannot act on a parameter so declared; None where it can."""
        return None

    @property
    def told(self) -> str:
        """In a line, for reports."""
        return f"{self.path} changes in time"

    @property
    @abc.abstractmethod
    def edges(self) -> list[ArrayLike]:
        """Times (ms) at which it or its slope jumps."""


class Protocol(eqx.Module):
    """``stimulus`` and ``changes``; of several changes of one parameter the later act on what the earlier made."""

    stimulus: Stimulus
    changes: tuple[Change, ...] = ()

    def __init__(self, stimulus: Stimulus | None = None, changes: Change | Sequence[Change] = ()):
        self.stimulus = ConstantCurrent() if stimulus is None else stimulus
        self.changes = (changes,) if isinstance(changes, Change) else tuple(changes)

    def on_grid(self, dt: float) -> "ProtocolOnGrid":
        return ProtocolOnGrid(self.stimulus.on_grid(dt), tuple(c.on_grid(dt) for c in self.changes))

    def at(self, membrane: Membrane, t: jax.Array) -> Membrane:
        """The membrane as it is at time t (ms)."""
        return _changed(membrane, self.changes, lambda change, before: change.at(before, t))


class ProtocolOnGrid(eqx.Module):
    """A protocol in steps of dt."""

    driver: Driver
    changes: tuple[ChangeOnGrid, ...] = ()

    def during(self, membrane: Membrane, first: jax.Array, steps: ArrayLike, like: jax.Array) -> Membrane:
        """The membrane with the means of its changing parameters over so many steps; arrays as ``like``."""
        mean = lambda change, before: change.mean(before, Window(first, steps), like.dtype)
        return _changed(membrane, self.changes, mean, like)

    def at(self, membrane: Membrane, step: jax.Array, like: jax.Array) -> Membrane:
        """The membrane as it is at the beginning of a step."""
        return _changed(membrane, self.changes, lambda change, before: change.level(before, step, like.dtype), like)


def _changed(
    membrane: Membrane, changes: Sequence[Any], value: Callable[[Any, Any], Any], like: jax.Array | None = None
) -> Membrane:
    if not changes:
        return membrane
    known = {path: x for path, x, _ in declared(membrane, absent=True)}
    new: dict[str, Any] = {}
    if like is not None:  # widened first, so that a number that all cells share gives the bits that an array would give
        kind = lambda x: jnp.int32 if np.issubdtype(jnp.result_type(x), np.integer) else like.dtype
        wide = lambda x: jax.lax.optimization_barrier(jnp.broadcast_to(jnp.asarray(x, kind(x)), like.shape))
        changes = map_declared(lambda _, x: wide(x), tuple(changes))
    for change in changes:
        new[change.path] = value(change, new.get(change.path, known[change.path]))
    if like is not None:
        new = {path: wide(x) for path, x in new.items()}
    return replaced(membrane, new)


def check_changes(membrane: Membrane, changes: Sequence[Change]) -> None:
    """Raises PathError for a parameter that is not there, ValueError for one that cannot change in time, or not so.

    A parameter that is None but declares what that stands for (``v_shift``) is there.
    """
    known = {path: d for path, _, d in declared(membrane, absent=True)}
    pools = {f"{name}.{side}" for name, side in membrane.pools()}
    for change in changes:
        if change.path not in known:
            if change.path in unset(membrane):
                raise PathError(
                    f"{change.path} is None in this membrane: give it a number, which then can change in time"
                )
            raise path_error(change.path, list(known))
        if why := _fixed(change.path, pools):
            raise ValueError(f"{change.path} cannot change in time: {why}")
        if why := change.refused(known[change.path]):
            raise ValueError(f"{change.path} {why}")


def _fixed(path: str, pools: set[str]) -> str | None:
    if path in pools:
        return (
            "it is what a dynamic concentration starts from. Clamp that side (dynamic = ...) to set it from outside, or let "
            "a BathExchange mechanism bring it there and change the mechanism's level"
        )
    if path == "capacitance" or path.startswith("geometry.") or path.endswith(("depth", "outside_depth")):
        return "charge and amounts are kept per area and volume, which are those of the start"
    return "it is where the run starts from" if path == "initial_v" else None
