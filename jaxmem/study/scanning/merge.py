"""From shards to one file: verified, streamed, atomic; the shards go when the file has been read back."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxmem.study.files import StoreError, build_whole, give_name, verify
from jaxmem.study.hdf5 import Outline, Variable, build_in_pieces, opened
from jaxmem.study.layout import CONVENTIONS
from jaxmem.study.provenance import attribute, jsonable, provenance
from jaxmem.study.scanning.answers import unanswered
from jaxmem.study.scanning.plan import POINT, Chunk, ScanPlan
from jaxmem.study.scanning.question import ERROR, POISON, STATUS
from jaxmem.study.scanning.shards import Folder, ScanError, dims
from jaxmem.study.tree import encode

KIND = "scan"
TEXTS = 10_000  # of errors, at about the most
NAMED = 10  # shards that are wrong and named one by one
ROOM = 1.25  # of the shards' size: what the merged file takes at the most, without the axes


def merge(plan: ScanPlan, folder: Folder) -> None:
    """Write the result of all chunks. Raises ScanError where shards are missing, damaged or foreign, naming them."""
    failed = folder.failed()
    check(plan, folder, failed)
    outlines = _outlines(plan)
    size = sum(p.stat().st_size for p in folder.shards.iterdir()) * ROOM + 2**20
    size += plan.points * 8 * len(plan.names)
    notes = _Notes(plan, folder, failed)
    small = {
        f"entry_{name}": Variable(np.arange(told.entries), (f"entry_{name}",), "1", f"index of the entry of {name}")
        for name, told in plan.outputs.items()
        if told.entries is not None
    }
    structure, leaves, lost = encode(plan.question, "question")
    kept = {
        name: Variable(leaf.values, (), leaf.declaration.unit if leaf.declaration else "1", name.rpartition("/")[2])
        for name, leaf in leaves.items()
        if np.ndim(leaf.values) == 0
    }
    extents = {d: n for leaf in leaves.values() for n in leaf.values.shape for d in [f"of_{n}"]}
    small |= {d: Variable(np.arange(n), (d,), "1", "index") for d, n in extents.items()}
    kept |= {
        name: Variable(leaf.values, tuple(f"of_{n}" for n in leaf.values.shape), "1", name.rpartition("/")[2])
        for name, leaf in leaves.items()
        if 0 < leaf.values.ndim == len(set(leaf.values.shape))
    }
    if len(kept) < len(leaves):
        lost = [*lost, "an array of the question has two axes of one length"]
    whole = folder.place / "merged.h5"  # what a kill leaves is left in here
    build_whole(
        whole,
        lambda path: build_in_pieces(path, outlines, notes.pieces(), small, kept, lambda: notes.rest(structure, lost)),
        int(size),
        overwrite=True,
    )
    give_name(whole, folder.output)


def check(plan: ScanPlan, folder: Folder, failed: set[Chunk]) -> None:
    """Raises ScanError that names the shards without which, or with which, nothing can be merged."""
    there = folder.done() | failed
    wrong = [f"{folder.shard(c)} is missing" for c in plan.chunks() if c not in there]
    if wrong:
        _refuse(wrong, "type the same line again: only these are computed")


def finish(plan: ScanPlan, folder: Folder) -> None:
    """Read the merged file back, then let the shards go. Raises StoreError or ScanError where it is not what it was."""
    if not verify(folder.output):
        raise ScanError(f"{folder.output} was changed by another program; its shards in {folder.place} are kept")
    with opened(folder.output, check_up_to=0) as file:
        index = json.loads(file.text("structure/index") or "{}")
    if index.get("kind") != KIND or index["identity"] != plan.identity or index["points"] != plan.points:
        raise ScanError(f"{folder.output} holds another scan; its shards in {folder.place} are kept")
    folder.remove()


class _Notes:
    """The shards one by one, and what is noted on the way."""

    def __init__(self, plan: ScanPlan, folder: Folder, failed: set[Chunk]):
        self.plan, self.folder, self.failed = plan, folder, failed
        self.counts: dict[int, int] = {}
        self.errors: dict[str, str] = {}
        self.made: list[dict[str, str]] = []
        self.seconds = np.full(plan.count, np.nan)

    def pieces(self) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        plan, wrong = self.plan, []
        names = list(plan.outputs)
        for number, chunk in enumerate(plan.chunks()):
            try:
                found = self._answers(chunk, names, number)
            except StoreError as error:
                wrong.append(str(error))
                continue
            if wrong:  # nothing will come of it: the others are looked at alone
                continue
            codes, counts = np.unique(found[STATUS], return_counts=True)
            for code, n in zip(codes.tolist(), counts.tolist(), strict=True):
                self.counts[code] = self.counts.get(code, 0) + n
            points = {POINT: np.arange(chunk.start, chunk.stop)}
            yield chunk.start, points | plan.design.values(chunk.start, chunk.stop) | found
        if wrong:
            _refuse(wrong, "remove them and type the same line again: only these are computed anew")

    def _answers(self, chunk: Chunk, names: list[str], number: int) -> dict[str, np.ndarray]:
        if chunk in self.failed and not self.folder.shard(chunk).exists():
            why = self.folder.read_failure(chunk)
            self.errors[f"{chunk.start} to {chunk.stop - 1}"] = why["text"]
            return unanswered(self.plan, chunk, POISON if why["kind"] == "poison" else ERROR).values
        index, found = self.folder.read_shard(chunk, self.plan.identity, names)
        self.seconds[number] = index["seconds"]
        if len(self.errors) < TEXTS:
            self.errors |= index["errors"]
        if index["made"] not in self.made:
            self.made.append(index["made"])
        return found

    def rest(self, structure: Any, lost: list[str]) -> tuple[dict[str, str], dict[str, Mapping[str, Any]]]:
        """Texts and attributes; whatever depends on when and where it was computed is in /provenance."""
        plan = self.plan
        told = {
            "kind": KIND,
            "identity": plan.identity,
            "points": plan.points,
            "title": plan.title,
            "axes": axes_told(plan),
            "outputs": {
                name: {"unit": x.unit, "description": x.description, "dtype": x.dtype.str, "entries": x.entries}
                | {"codes": x.codes}
                for name, x in plan.outputs.items()
            },
            "design": plan.design.told,
            "statuses": {code: list(words) for code, words in plan.statuses.items()},
            "counts": dict(sorted(self.counts.items())),
            "regions": dict(plan.regions),
            "errors": self.errors,
            "question": {"kind": plan.question.kind, "tree": structure, "lost": lost},
        }
        about = {
            "question": plan.title,
            "seconds": float(np.nansum(self.seconds)),
            "chunk": plan.chunk,
            "computed_by": self.made,
            **plan.about,
        }
        came_from = json.loads(json.dumps(provenance({}, about), default=jsonable))
        texts = {
            "structure/index": json.dumps(told, default=jsonable),
            "provenance/index": json.dumps(came_from, default=jsonable),
            "provenance/chunk_seconds": json.dumps([None if np.isnan(x) else x for x in self.seconds.tolist()]),
        }
        if plan.text is not None:
            texts["provenance/experiment"] = plan.text
        root = {"Conventions": CONVENTIONS, "title": "Scan computed by jaxmem"}
        if plan.title:
            root["question"] = plan.title
        return texts, {"/": root, "provenance": {k: attribute(v) for k, v in came_from.items()}}


def axes_told(plan: ScanPlan) -> dict[str, dict[str, Any]]:
    known, found = plan.question.known, {}
    for path, axis in plan.design.axes.items():
        name = plan.names[path]
        unit = "1" if axis.times is not None else known[path].unit
        said = known[path].description if axis.times is None else f"{path} over {axis.times}"
        if axis.times == path:
            said = f"{path} over that of the typical cell"
        levels = None if axis.levels is None else axis.level(np.arange(axis.levels)).tolist()
        low, high = axis.low, axis.high
        if low is None:
            there = levels or plan.design.values(0, plan.points)[name]  # a list is as long as somebody wrote it
            low, high = float(np.nanmin(there)), float(np.nanmax(there))
        found[name] = {
            "path": path, "unit": unit, "description": said, "scale": axis.scale or "linear", "low": low, "high": high,
            "levels": levels, "times": axis.times,
        }  # fmt: skip
    return found


def _outlines(plan: ScanPlan) -> dict[str, Outline]:
    n = plan.points
    found = {POINT: Outline((n,), np.dtype(np.int64), (POINT,), "1", "index of the point")}
    for name, axis in axes_told(plan).items():
        found[name] = Outline((n,), np.dtype(np.float64), (POINT,), axis["unit"], axis["description"])
    for name, told in plan.outputs.items():
        shape = (n,) if told.entries is None else (told.entries, n)
        more: dict[str, Any] = {}
        if told.codes:
            more = {"flag_values": np.array(list(told.codes), np.int32), "flag_meanings": " ".join(told.codes.values())}
        found[name] = Outline(shape, told.dtype, dims(name, told), told.unit, told.description, more)
    return found


def _refuse(wrong: list[str], advice: str) -> None:
    named = wrong[:NAMED] + [f"and {len(wrong) - NAMED:,} more"] * (len(wrong) > NAMED)
    raise ScanError("\n".join([f"these shards cannot be merged; {advice}", *named]))
