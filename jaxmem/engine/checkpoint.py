"""Checkpoints of one simulation: after a kill at any moment, the same call goes on from the last one, with the same bits.

A directory holds the state of all cells and the folds of all measures at one step (written whole, synced, renamed) and
the samples up to there, as arrays on disk that are not kept in memory. The results do not depend on where a run was cut,
so checkpoints are made by the clock on the wall. What is in the directory belongs to one simulation: another one is
refused.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxmem.engine.interval import Carry

STATE, RUN = "state.npz", "run.json"
FIRST_STEPS = 2000  # of the first stretch, from whose speed the length of the others is told


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Keep checkpoints in ``directory``, one every so many seconds on the wall; it is removed when the run is through.

    ``keep`` leaves the directory there: its arrays of samples are those of the result.
    """

    directory: str | os.PathLike[str]
    every: float = 60.0
    keep: bool = False


class Checkpoints:
    """The directory of a checkpoint, opened for the simulation with this ``identity``."""

    def __init__(self, checkpoint: Checkpoint, identity: str):
        self.place, self.every = Path(checkpoint.directory), checkpoint.every
        self.place.mkdir(parents=True, exist_ok=True)
        about = self.place / RUN
        if about.exists():
            found = json.loads(about.read_text())["identity"]
            if found != identity:
                raise ValueError(
                    f"{self.place} holds checkpoints of another simulation (or of another version of jaxmem or JAX); "
                    "remove it, or name another directory"
                )
        elif any(self.place.iterdir()):
            raise ValueError(f"{self.place} is not empty and holds no checkpoints; name another directory")
        else:
            self._put(about, json.dumps({"identity": identity}).encode())

    def latest(self, like: Carry) -> Carry | None:
        """Where the run stood at the last checkpoint, in the structure of ``like``; None where there is none."""
        file = self.place / STATE
        if not file.exists():
            return None
        with np.load(file) as arrays:
            leaves = [arrays[f"arr_{i}"] for i in range(len(jax.tree.leaves(like)))]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    def write(self, carry: Carry) -> None:
        """Make this the last checkpoint; what was sampled until here must be on disk before."""
        temporary = self.place / f"{STATE}.part.npz"
        with temporary.open("wb") as file:
            np.savez(file, *(np.asarray(x) for x in jax.tree.leaves(carry)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.place / STATE)
        self._sync()

    def samples(self, number: int, shape: tuple[int, ...], dtype: Any) -> np.memmap:
        """The array on disk of one recorded variable; as it was left where the run goes on."""
        file = self.place / f"samples{number}.npy"
        if file.exists():
            return np.lib.format.open_memmap(file, mode="r+")
        return np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)

    def remove(self) -> None:
        """Done: nothing of this is needed any more. Arrays that are still in use live until they are let go."""
        shutil.rmtree(self.place)

    def _put(self, file: Path, content: bytes) -> None:
        temporary = file.with_suffix(".part")
        with temporary.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Pace:
    """How many steps until the next checkpoint is due, from how fast the last ones went; never more than ``most``."""

    def __init__(self, every: float, most: int):
        self.every, self.most, self.began = every, max(1, most), time.perf_counter()
        self.steps = min(FIRST_STEPS, self.most)

    def next(self) -> int:
        """Steps of the next stretch; called at the beginning of each."""
        self.began = time.perf_counter()
        return self.steps

    def done(self, steps: int) -> None:
        """So many steps were made since then."""
        seconds = max(time.perf_counter() - self.began, 1e-6)
        wanted = int(steps * self.every / seconds)
        self.steps = max(1, min(wanted, 8 * self.steps, self.most))  # the first stretch includes compilation


def identity(*parts: Any) -> str:
    """A digest of everything a simulation is made from: structure, every number, versions."""
    digest = hashlib.sha256()
    for part in parts:
        arrays, rest = eqx.partition(part, eqx.is_array_like)
        digest.update(repr(jax.tree.structure(arrays)).encode())
        digest.update(repr(rest).encode() if jax.tree.leaves(rest) else b"")
        for x in jax.tree.leaves(arrays):
            array = np.ascontiguousarray(x)
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
