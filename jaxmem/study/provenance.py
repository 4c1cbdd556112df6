"""Where a result comes from: versions, revision, time. What a run was told (seed, preset) adds whoever told it."""

import functools
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import jaxmem

PACKAGES = ("jax", "jaxlib", "numpy", "h5py", "equinox")


def provenance(info: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, revision, date; what the run said of itself (``info``) goes before what is installed, then ``more``."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    here = {"jaxmem": jaxmem.__version__, **versions, "python": platform.python_version()}
    found = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **here, "git_revision": git_revision()}
    return {name: value for name, value in {**found, **info, **more}.items() if value is not None}


@functools.cache
def git_revision() -> str | None:
    """The revision of the checkout that jaxmem runs from, ``-dirty`` where changed; None where it is installed."""
    package = Path(jaxmem.__file__).resolve().parent
    try:
        # installed packages may lie inside a checkout of something else, whose revision says nothing
        if Path(_git(package, "rev-parse", "--show-toplevel")).resolve() != package.parent:
            return None
        return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *command: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *command],
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout.strip()


def jsonable(x: Any) -> Any:
    """What JSON does not know of itself."""
    return x.tolist() if isinstance(x, np.ndarray | np.generic) else str(x)


def attribute(x: Any) -> Any:
    """What HDF5 takes as an attribute."""
    short = isinstance(x, str | float) or (isinstance(x, int) and abs(x) < 2**63)
    return x if short else json.dumps(x)
