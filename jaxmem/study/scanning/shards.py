"""What a scan keeps on disk until it is merged: a header, one immutable file per chunk, and what went wrong.

    OUT.h5.scan/
        header.json              what is asked, where, in which chunks; never changed
        lock                     who is at work
        shards/START-STOP.h5     the answers of a chunk. A shard that is there is done; nothing else decides
        failures/START-STOP.json why a chunk has none
        progress.json            how far it was when somebody last looked; nobody relies on it

All are made in memory, written under a temporary name, synced and renamed, and sealed with a checksum.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import jaxmem
from jaxmem.study.files import SEALED, StoreError, verify, write_whole
from jaxmem.study.hdf5 import Variable, image, opened
from jaxmem.study.provenance import jsonable
from jaxmem.study.scanning.answers import Answers
from jaxmem.study.scanning.plan import POINT, Chunk, ScanPlan
from jaxmem.study.scanning.question import STATUS, Output

KIND = "a part of a scan"
FORMAT = 1
LEFT = ".jaxmem-*.part"  # what a killed writer leaves


class ScanError(ValueError):
    """A scan that cannot be started, gone on with or merged; the text says why and what to do."""


class Summary(NamedTuple):
    """A chunk that is done: its points, seconds that asking took, and how many points have each status."""

    start: int
    stop: int
    seconds: float
    counts: dict[int, int]


@dataclasses.dataclass(frozen=True)
class Header:
    """What every part and every resume of a scan has in common."""

    identity: str
    points: int
    chunk: int
    text: str | None
    told: Mapping[str, Any]

    def chunks(self) -> int:
        return -(-self.points // self.chunk)


class Folder:
    """The folder beside the result."""

    def __init__(self, output: str | os.PathLike[str]):
        self.output = Path(output)
        self.place = self.output.with_name(f"{self.output.name}.scan")
        self.shards, self.failures = self.place / "shards", self.place / "failures"
        self.old = self.place.with_name(f"{self.place.name}.old")
        self.header_file, self.progress_file = self.place / "header.json", self.place / "progress.json"

    def exists(self) -> bool:
        return self.header_file.exists()

    def make(self) -> None:
        for folder in (self.place, self.shards, self.failures):
            folder.mkdir(exist_ok=True)

    def remove(self) -> None:
        """Everything. It is gone at once, by its name; a network disk keeps the lock that is held until it is let go."""
        self.sweep()
        with contextlib.suppress(FileNotFoundError):  # somebody else is at it
            os.rename(self.place, self.old)
        self.sweep()

    def sweep(self) -> None:
        """Remove what a killed removal left."""
        if self.old.exists():
            shutil.rmtree(self.old, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what killed writers left; nobody else may be writing."""
        for folder in (self.place, self.shards, self.failures):
            for file in folder.glob(LEFT):
                file.unlink(missing_ok=True)

    # ------------------------------------------------------------------ header
    def write_header(self, plan: ScanPlan) -> Header:
        told = {
            "format": FORMAT,
            "identity": plan.identity,
            "points": plan.points,
            "chunk": plan.chunk,
            "title": plan.title,
            "text": plan.text,
            "design": plan.design.told,
            "made": made_by(),
            "source": None if plan.source is None else [os.path.abspath(plan.source[0]), list(plan.source[1])],
            "parameters": {path: p.value for path, p in plan.question.known.items()},
            "statuses": {code: list(words) for code, words in plan.statuses.items()},
        }
        write_whole(self.header_file, json.dumps(told, default=jsonable).encode())
        return self.header()

    def header(self) -> Header:
        """Raises StoreError where it is damaged, ScanError where it is of a later version."""
        verify(self.header_file)
        told = json.loads(self.header_file.read_bytes()[:-SEALED])
        if told["format"] > FORMAT:
            raise ScanError(f"{self.place} was begun by a later version of jaxmem; go on with that one")
        return Header(told["identity"], told["points"], told["chunk"], told["text"], told)

    # ------------------------------------------------------------------ shards
    def shard(self, chunk: Chunk) -> Path:
        return self.shards / f"{chunk.name}.h5"

    def done(self) -> set[Chunk]:
        """The chunks that have a shard."""
        return _chunks(self.shards, ".h5")

    def failed(self) -> set[Chunk]:
        return _chunks(self.failures, ".json")

    def write_shard(self, plan: ScanPlan, chunk: Chunk, found: Answers) -> Summary:
        """Make the chunk done. One that somebody else has made meanwhile stays; StoreError where it is not of this scan."""
        codes, counts = np.unique(found.values[STATUS], return_counts=True)
        summary = Summary(
            chunk.start, chunk.stop, found.seconds, dict(zip(codes.tolist(), counts.tolist(), strict=True))
        )
        index = {
            "kind": KIND, "identity": plan.identity, "start": chunk.start, "stop": chunk.stop,
            "seconds": found.seconds, "counts": summary.counts, "errors": found.errors, "made": made_by(),
        }  # fmt: skip
        coordinates = {POINT: Variable(np.arange(chunk.start, chunk.stop), (POINT,), "1", "index of the point")}
        variables = {}
        for name, told in plan.outputs.items():
            if told.entries is not None:
                d = dims(name, told)[0]
                coordinates[d] = Variable(np.arange(told.entries), (d,), "1", "entry")
            variables[name] = Variable(found.values[name], dims(name, told), told.unit, told.description)
        texts = {"structure/index": json.dumps(index)}
        content = image(coordinates, variables, texts, {"/": {"title": "Part of a scan by jaxmem"}}, filtered=False)
        try:
            write_whole(self.shard(chunk), content)
        except FileExistsError:
            self.read_shard(chunk, plan.identity)
        return summary

    def read_shard(self, chunk: Chunk, identity: str, names: list[str] | None = None) -> tuple[dict[str, Any], dict]:
        """(its index, its arrays), verified. Raises StoreError where it is missing, damaged or of another scan."""
        path = self.shard(chunk)
        if not path.exists():
            raise StoreError(f"{path} is missing")
        with opened(path) as file:
            index = json.loads(file.text("structure/index") or "{}")
            if index.get("kind") != KIND or index["identity"] != identity:
                raise StoreError(f"{path} belongs to another scan")
            if (index["start"], index["stop"]) != tuple(chunk):
                raise StoreError(f"{path} holds the points {index['start']} to {index['stop']}; it was renamed")
            return index, {name: np.asarray(file.array(name)) for name in names or ()}

    # ------------------------------------------------------------------ failures
    def write_failure(self, chunk: Chunk, kind: str, text: str) -> None:
        told = {"start": chunk.start, "stop": chunk.stop, "kind": kind, "text": text}
        write_whole(self.failures / f"{chunk.name}.json", json.dumps(told).encode(), overwrite=True)

    def read_failure(self, chunk: Chunk) -> dict[str, Any]:
        return json.loads((self.failures / f"{chunk.name}.json").read_bytes()[:-SEALED])

    def forget_failures(self) -> int:
        """Let them be tried again; how many there were."""
        failed = self.failed()
        for chunk in failed:
            (self.failures / f"{chunk.name}.json").unlink(missing_ok=True)
        return len(failed)


def made_by() -> dict[str, str]:
    """Versions on which the last bits of answers depend."""
    return {"jaxmem": jaxmem.__version__, "jax": importlib.metadata.version("jax"), "numpy": np.__version__}


def dims(name: str, told: Output) -> tuple[str, ...]:
    """The dimensions of an output."""
    return (POINT,) if told.entries is None else (f"entry_{name}", POINT)


def _chunks(folder: Path, suffix: str) -> set[Chunk]:
    found = set()
    for name in os.listdir(folder) if folder.is_dir() else ():
        start, _, stop = name.removesuffix(suffix).partition("-")
        if name.endswith(suffix) and start.isdigit() and stop.isdigit():
            found.add(Chunk(int(start), int(stop)))
    return found
