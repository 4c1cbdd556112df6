"""A scan from beginning to end: what is there already is kept, what is missing is computed, then all is one file."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Generator

from jaxmem.study.files import NO_ROOM, StoreError, check_target
from jaxmem.study.scanning.conditions import Known, read
from jaxmem.study.scanning.difference import difference
from jaxmem.study.scanning.executors.base import Died, Done, Executor, Failed, Outcome
from jaxmem.study.scanning.executors.in_process import InProcess
from jaxmem.study.scanning.lock import BusyError, locked
from jaxmem.study.scanning.merge import KIND, axes_told, finish, merge
from jaxmem.study.scanning.plan import Chunk, ScanPlan
from jaxmem.study.scanning.result import Scan, read_scan
from jaxmem.study.scanning.shards import Folder, ScanError, Summary, made_by
from jaxmem.study.scanning.sizing import chunk_size, trial
from jaxmem.study.summary import kind_of

KEPT = "the chunks that are done are kept: mend it and type the same line again"
ALONE = 2  # times that a chunk which took its worker along is tried again, with nothing beside it
PATIENCE = 60.0  # s that one part waits for another that is ending, or merging
LOOKED_AT, READ = 2000, 2**32  # shards, and bytes, that are verified when a scan is gone on with; more only when merged
TOLD_EVERY = 2.0  # s between notes of how far it is


@dataclasses.dataclass
class Standing:
    """How far a scan is: points done and points of chunks that failed, of all; seconds of asking in this run."""

    points: int
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    found: int = 0
    counts: dict[int, int] = dataclasses.field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.done + self.failed >= self.points

    def add(self, summary: Summary) -> None:
        self.done += summary.stop - summary.start
        self.seconds += summary.seconds
        for code, n in summary.counts.items():
            self.counts[code] = self.counts.get(code, 0) + n


Told = Callable[[Standing], None]


def run(
    plan: ScanPlan,
    output: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    part: tuple[int, int] | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    progress: Told | None = None,
    note: Callable[[str], None] | None = None,
) -> Scan | Standing:
    """Compute what is missing and merge; the :class:`Standing` where other parts are not through yet.

    ``part``: (k, n), every n-th chunk from the k-th on, counted from 1; the part that finds all chunks done merges them.
    ``note`` is told, in words, what a user should know. Raises ScanError where the output belongs to another scan,
    somebody else is at work on it, or shards are damaged, and OSError where the disk is full: what is done stays done.
    """
    folder = Folder(output)
    say = note or (lambda text: None)
    if fresh:
        check_regions(plan)
        _begin_anew(folder)
    if (found := _finished(plan, folder, say)) is not None:
        say(f"{output} is complete: nothing was left to do")
        return found
    check_target(output)
    check_regions(plan)
    folder.make()
    name = "lock" if part is None else f"part-{part[0]}-of-{part[1]}.lock"
    try:
        with contextlib.ExitStack() as held:
            if part is not None:
                held.enter_context(locked(folder.place / "lock", str(output), shared=True))
            what = str(output) if part is None else f"part {part[0]} of {output}"
            held.enter_context(locked(folder.place / name, what))
            standing = Standing(plan.points, done=plan.points)  # finished by another part since we looked
            if not folder.output.exists():
                plan = _headed(plan, folder, (executor.workers if executor else 1) * (part[1] if part else 1), say)
                if part is None:
                    folder.tidy()
                if retry_failed and (again := folder.forget_failures()):
                    say(f"{again:,} chunks that failed are tried again")
                standing = _compute(plan, folder, executor or InProcess(), part, progress, say)
                _write_progress(folder, standing)
    except FileNotFoundError:  # another part has finished it at this moment
        if (found := _finished(plan, folder, say)) is None:
            raise
        return found
    if not standing.complete:
        return standing
    try:
        return merged(plan, folder)
    except BusyError as error:
        if part is None:
            raise
        say(f"all points are done; {error}: it merges them, or 'jaxmem merge {output}' does")
        return standing


def merged(plan: ScanPlan, folder: Folder) -> Scan:
    """Merge what is complete; where another part is about to end, or merges, wait for it a while."""
    until = time.monotonic() + PATIENCE
    while folder.place.exists():
        try:
            with locked(folder.place / "lock", str(folder.output)):
                if not folder.output.exists():
                    folder.tidy()
                    merge(plan, folder)
                finish(plan, folder)
        except FileNotFoundError:  # another has merged it, and the folder is gone
            if not folder.output.exists():
                raise
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise OSError(f"{error.strerror}; {KEPT}") from None
            raise
    return read_scan(folder.output)


def check_regions(plan: ScanPlan) -> None:
    """Raise ValueError for a condition that cannot be read, before hours are spent on points it shall choose from."""
    known = {name: Known(axis["unit"], {}) for name, axis in axes_told(plan).items()}
    known |= {name: Known(x.unit, x.codes or {}) for name, x in plan.outputs.items() if x.entries is None}
    for name, text in plan.regions.items():
        try:
            read(text, known)
        except ValueError as error:
            raise ValueError(f"the region {name!r}: {error}") from None


def _begin_anew(folder: Folder) -> None:
    if folder.output.exists():
        try:
            kind = kind_of(folder.output)
        except StoreError as error:
            kind = str(error)
        if kind != KIND:
            raise ScanError(
                f"{folder.output} is no result of a scan ({kind}); remove it yourself, or choose another output"
            )
    if folder.place.exists():
        with locked(folder.place / "lock", str(folder.output)):
            folder.remove()
    folder.output.unlink(missing_ok=True)


def _finished(plan: ScanPlan, folder: Folder, say: Callable[[str], None]) -> Scan | None:
    """The scan that an earlier run finished, None where there is work to do."""
    folder.sweep()
    if not folder.output.exists():
        return None
    try:
        found = read_scan(folder.output)
    except StoreError as error:
        raise ScanError(f"{error}; choose another output, or replace it with --fresh") from None
    if found.identity != plan.identity:
        text = f"{folder.output} holds the result of another scan; choose another output, or replace it with --fresh:"
        raise ScanError("\n".join([text, *difference(found.experiment, found.design, {}, plan)]))
    if found.regions != dict(plan.regions):
        say(
            "the regions in the file are those that the scan was finished with; 'jaxmem export --where' asks for others"
        )
    if folder.place.exists():  # it was interrupted between giving the file its name and removing the shards
        with locked(folder.place / "lock", str(folder.output)):
            finish(plan, folder)
    return found


def _headed(plan: ScanPlan, folder: Folder, workers: int, say: Callable[[str], None]) -> ScanPlan:
    """The plan with the chunks that the scan was begun with; what it was begun with is never changed."""
    if folder.exists():
        header = folder.header()
        if header.identity != plan.identity:
            raise ScanError(
                "\n".join(
                    [
                        _CHANGED.format(folder.place),
                        *difference(header.text, header.told["design"], header.told["parameters"], plan),
                    ]
                )
            )
        if plan.chunk and plan.chunk != header.chunk:
            say(f"this scan was begun with chunks of {header.chunk:,} points and goes on with them")
        if (made := made_by()) != (before := header.told["made"]):
            odd = ", ".join(
                f"{name} {before.get(name)} (here {x})" for name, x in made.items() if before.get(name) != x
            )
            say(f"this scan was begun with {odd}; its points may differ in their last digits")
        return dataclasses.replace(plan, chunk=header.chunk)
    if not plan.chunk:
        plan = dataclasses.replace(plan, chunk=chunk_size(plan, trial(plan), workers))
    with contextlib.suppress(FileExistsError):  # another part was quicker
        folder.write_header(plan)
    header = folder.header()
    return dataclasses.replace(plan, chunk=header.chunk)


_CHANGED = "the experiment is not the one that {} was begun with; undo the change, choose another output, or --fresh:"


def _compute(
    plan: ScanPlan,
    folder: Folder,
    executor: Executor,
    part: tuple[int, int] | None,
    progress: Told | None,
    say: Callable[[str], None],
) -> Standing:
    done, failed = folder.done(), folder.failed()
    failed -= done
    if len(done) <= LOOKED_AT and sum(folder.shard(c).stat().st_size for c in done) <= READ:
        _check_shards(plan, folder, done)
    foreign = [c for c in done | failed if c.start % plan.chunk or c.stop != min(c.start + plan.chunk, plan.points)]
    if foreign:
        raise ScanError(f"{folder.shard(min(foreign))} is no chunk of this scan; remove it")
    size = lambda chunks: sum(c.stop - c.start for c in chunks)
    standing = Standing(plan.points, done=size(done), failed=size(failed), found=size(done))
    if done:
        say(f"{len(done):,} of {plan.count:,} chunks were done before")
    skip = done | failed
    k, n = part or (1, 1)
    todo = (c for i, c in enumerate(plan.chunks()) if i % n == k - 1 and c not in skip)
    died: list[Died] = []
    with contextlib.closing(_watched(executor.map(plan, todo, folder.output), standing, folder, progress)) as outcomes:
        for out in outcomes:
            if isinstance(out, Died):
                died.append(out)
                points = f"the points {out.chunk.start:,} to {out.chunk.stop - 1:,}"
                say(f"a worker died with {points} ({out.why}); they are tried again")
            elif isinstance(out, Failed):
                _note_failure(out, folder, standing, say)
    for lost in died:
        _alone(plan, lost, folder, executor, standing, progress, say)
    done = folder.done()  # others may have done theirs meanwhile
    standing.done, standing.failed = size(done), size(folder.failed() - done)
    return standing


def _check_shards(plan: ScanPlan, folder: Folder, done: set[Chunk]) -> None:
    """Raise ScanError for shards that could not be merged, before more are computed."""
    wrong = []
    for chunk in sorted(done):
        try:
            folder.read_shard(chunk, plan.identity)
        except StoreError as error:
            wrong.append(str(error))
    if wrong:
        raise ScanError(
            "\n".join(["these shards cannot be merged; remove them, and only these are computed anew:", *wrong])
        )


def _alone(
    plan: ScanPlan,
    lost: Died,
    folder: Folder,
    executor: Executor,
    standing: Standing,
    progress: Told | None,
    say: Callable[[str], None],
) -> None:
    """A chunk that took its worker along, once more with nothing beside it; then it is poison."""
    for _ in range(ALONE):
        for out in _watched(executor.map(plan, [lost.chunk], folder.output), standing, folder, progress):
            if isinstance(out, Done):
                return
            if isinstance(out, Failed):
                _note_failure(out, folder, standing, say)
                return
            lost = out
    text = f"killed its worker {ALONE + 1} times ({lost.why})"
    folder.write_failure(lost.chunk, "poison", text)
    standing.failed += lost.chunk.stop - lost.chunk.start
    say(f"the points {lost.chunk.start:,} to {lost.chunk.stop - 1:,} are left out: their chunk {text}")


def _note_failure(out: Failed, folder: Folder, standing: Standing, say: Callable[[str], None]) -> None:
    if out.hopeless:
        raise OSError(f"{out.why}; {KEPT}")
    folder.write_failure(out.chunk, "error", out.why)
    standing.failed += out.chunk.stop - out.chunk.start
    say(f"the points {out.chunk.start:,} to {out.chunk.stop - 1:,} failed: {out.why}")


def _watched(
    outcomes: Generator[Outcome, None, None], standing: Standing, folder: Folder, progress: Told | None
) -> Generator[Outcome, None, None]:
    """The same outcomes; what is done is counted and told. Closing it closes them."""
    noted = time.monotonic()
    if progress is not None:
        progress(standing)
    with contextlib.closing(outcomes):
        for out in outcomes:
            if isinstance(out, Done):
                standing.add(out.summary)
            if progress is not None:
                progress(standing)
            if time.monotonic() - noted > TOLD_EVERY:
                noted = time.monotonic()
                _write_progress(folder, standing)
            yield out


def _write_progress(folder: Folder, standing: Standing) -> None:
    """A note for whoever looks; nothing relies on it, so nothing is lost if it cannot be written."""
    temporary = folder.progress_file.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps({**dataclasses.asdict(standing), "at": time.time(), "process": os.getpid()}))
        os.replace(temporary, folder.progress_file)
