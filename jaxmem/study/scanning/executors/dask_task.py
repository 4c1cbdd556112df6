"""What a Dask worker does with a chunk. Imports no JAX: the worker's process is set up for it first."""

import os
import pickle
import sys
from typing import Any, NamedTuple

from jaxmem import __version__
from jaxmem.study.scanning.executors.environment import keep_programs, variables
from jaxmem.study.scanning.executors.slots import Slot


class Work(NamedTuple):
    """A pickled (plan, output), ``key``: its digest, and who asks: version of jaxmem, settings and flags of its JAX."""

    key: str
    content: bytes
    version: str
    settings: dict[str, Any]
    flags: str | None


class VersionError(RuntimeError):
    """Another version of jaxmem: its numbers may be others."""


_read: dict[str, Any] = {}  # the last (plan, output), by key


def answer(work: Work, chunk: tuple[int, int], slots: list[Slot] | None) -> Any:
    """The outcome of a chunk, in the process of a Dask worker.

    Its first chunk gives that process the coordinator's settings of JAX, so that it finds the same bits; where JAX is
    imported already its configuration is changed, for the process is a worker's. ``slots``: of a local cluster, by name
    of the worker.
    """
    if work.version != __version__:
        raise VersionError(f"the worker has jaxmem {__version__}, the scan is run by {work.version}")
    if work.key not in _read:
        _set_up(work, slots)
        _read.clear()
        _read[work.key] = pickle.loads(work.content)
    from jaxmem.study.scanning.executors import base
    from jaxmem.study.scanning.plan import Chunk

    plan, output = _read[work.key]
    try:
        return base.outcome(plan, Chunk(*chunk), output)
    except SystemExit as error:
        return base.Failed(Chunk(*chunk), f"SystemExit: {error}", False)


def _set_up(work: Work, slots: list[Slot] | None) -> None:
    if slots:
        from distributed import get_worker

        slots[int(get_worker().name) % len(slots)].enter()
        os.dup2(2, 1)  # stdout is the coordinator's
    if "jax" not in sys.modules:
        os.environ.update(variables(work.settings))
        if work.flags is not None:
            os.environ.setdefault("XLA_FLAGS", work.flags)
        keep_programs()
        return
    import jax

    for name, value in work.settings.items():
        jax.config.update(name, value)
