"""Who computes the chunks: this process, processes of this machine, or a cluster.

Names are imported when they are used: a worker sets its process up before JAX starts, from a module beside these.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmem.study.scanning.executors.base import Executor as Executor
    from jaxmem.study.scanning.executors.dask import Dask as Dask
    from jaxmem.study.scanning.executors.in_process import InProcess as InProcess
    from jaxmem.study.scanning.executors.pool import Pool as Pool

_HOME = {"Dask": "dask", "Executor": "base", "InProcess": "in_process", "Pool": "pool"}
__all__ = ["Dask", "Executor", "InProcess", "Pool"]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
