"""Is it still what was computed? Checksums, completeness, and some points computed again."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxmem.study.files import StoreError, verify
from jaxmem.study.hdf5 import opened
from jaxmem.study.scanning.plan import Chunk, parameters
from jaxmem.study.scanning.question import ERROR, STATUS, Question
from jaxmem.study.scanning.result import Scan
from jaxmem.study.scanning.shards import Folder
from jaxmem.study.tree import decode

SAMPLE = 64  # points that are computed again


@dataclasses.dataclass
class Verdict:
    """What was looked at and holds (``found``), and what does not (``wrong``), a line each."""

    found: list[str] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong


def verified(output: str | os.PathLike[str], sample: int = SAMPLE, seed: int = 0) -> Verdict:
    """Look over a scan: its merged file, or the shards there are. Raises FileNotFoundError where there is neither."""
    verdict, folder = Verdict(), Folder(output)
    if folder.exists():
        _shards(folder, verdict)
    if folder.output.exists():
        _result(folder.output, sample, seed, verdict)
    elif not folder.exists():
        raise FileNotFoundError(f"there is no {output}, and no {folder.place} of one that was begun")
    return verdict


def asked_again(scan: Scan, points: np.ndarray) -> dict[str, np.ndarray]:
    """Every output at these points (indices), computed anew from what the file says was asked."""
    question, axes = question_of(scan)
    coordinates = {name: _at(scan, name, points) for name, _ in axes.values()}
    return question.ask(parameters(axes, question, coordinates), np.asarray(points, np.int64))


def question_of(scan: Scan) -> tuple[Question, dict[str, tuple[str, str | None]]]:
    """The question in the file, and (name, factor) of each axis by path. Raises StoreError where it was not stored."""
    told = scan.told["question"]
    if told["lost"]:
        raise StoreError(
            f"{scan.path}: what was asked could not be stored ({'; '.join(told['lost'])}): it is known where it was asked"
        )
    with opened(scan.path, check_up_to=0) as file:
        question = decode(told["tree"], file.array, Question)
    return question, {axis.path: (name, axis.times) for name, axis in scan.axes.items()}


def _at(scan: Scan, name: str, points: np.ndarray) -> np.ndarray:
    return np.stack([scan.part(name, int(i), int(i) + 1)[..., 0] for i in points], -1)


def _shards(folder: Folder, verdict: Verdict) -> None:
    try:
        header = folder.header()
    except (StoreError, ValueError) as error:
        verdict.wrong.append(str(error))
        return
    starts = range(0, header.points, header.chunk)
    wanted = [Chunk(s, min(s + header.chunk, header.points)) for s in starts]
    done, failed = folder.done(), folder.failed()
    whole = 0
    for chunk in sorted(done):
        try:
            folder.read_shard(chunk, header.identity)
            whole += chunk in wanted[chunk.start // header.chunk : chunk.start // header.chunk + 1]
            if chunk not in wanted[chunk.start // header.chunk : chunk.start // header.chunk + 1]:
                verdict.wrong.append(f"{folder.shard(chunk)} is no chunk of this scan")
        except StoreError as error:
            verdict.wrong.append(str(error))
    verdict.found.append(f"{whole:,} of {len(wanted):,} shards in {folder.shards} are whole")
    missing = [c for c in wanted if c not in done and c not in failed]
    if missing and folder.output.exists():
        verdict.found.append("the others are merged and gone: the same line typed again removes the rest")
    elif missing:
        verdict.found.append(f"{len(missing):,} chunks are not done yet")
    for chunk in sorted(failed - done):
        why = folder.read_failure(chunk)
        verdict.found.append(f"the points {chunk.start:,} to {chunk.stop - 1:,} failed: {why['text']}")


def _result(path: Path, sample: int, seed: int, verdict: Verdict) -> None:
    try:
        sealed = verify(path)
        scan = Scan(path)
        total, codes = 0, dict[int, int]()
        for piece in scan.pieces([STATUS]):
            there, counts = np.unique(piece[STATUS], return_counts=True)
            total += int(counts.sum())
            for code, n in zip(there.tolist(), counts.tolist(), strict=True):
                codes[code] = codes.get(code, 0) + n
    except StoreError as error:
        verdict.wrong.append(str(error))
        return
    if sealed:
        verdict.found.append(f"{path}: the checksum holds")
    else:
        verdict.wrong.append(f"{path} has no checksum: another program has written to it")
    if total != scan.points or codes != scan.counts:
        verdict.wrong.append(
            f"{path}: {total:,} points with the statuses {codes}; it says {scan.points:,} with {scan.counts}"
        )
    else:
        verdict.found.append(f"{total:,} points, as many of each status as it says")
    if sample:
        _recomputed(scan, sample, seed, verdict)


def _recomputed(scan: Scan, sample: int, seed: int, verdict: Verdict) -> None:
    """Some points of the good ones, and of those that the question itself gave up."""
    draw = np.random.default_rng(seed)
    points = np.arange(scan.points)
    if sample < scan.points:
        points = np.unique(
            draw.integers(0, scan.points, 2 * sample) if scan.points > 10**6 else draw.permutation(points)
        )
        points = np.sort(draw.permutation(points)[:sample])
    points = points[_at(scan, STATUS, points) < ERROR]
    if not points.size:
        verdict.found.append("none of the points drawn could be asked; nothing was computed again")
        return
    try:
        again = asked_again(scan, points)
    except StoreError as error:
        verdict.found.append(f"no point was computed again: {error}")
        return
    odd = {}
    for name, x in again.items():
        before = _at(scan, name, points)
        same = (before == x) | ((before != before) & (x != x))
        if not same.all():
            odd[name] = float(np.nanmax(np.abs(before - x) / np.maximum(np.abs(x), 1e-300)))
    if not odd:
        verdict.found.append(f"{points.size} points computed again gave the same bits")
        return
    told = ", ".join(f"{name} by up to {x:.1e} of itself" for name, x in odd.items())
    verdict.wrong.append(f"{points.size} points computed again differ: {told} ({_made(scan.provenance)})")


def _made(provenance: dict[str, Any]) -> str:
    import jax

    import jaxmem

    made = f"made by jaxmem {provenance.get('jaxmem')} with jax {provenance.get('jax')}"
    return f"{made}; here jaxmem {jaxmem.__version__} with jax {jax.__version__} on {jax.devices()[0].device_kind}"
