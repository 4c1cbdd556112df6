"""``jm.scan``: a question at every point of a design, from Python."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

from jaxmem.study.problems import Override
from jaxmem.study.scanning.designs.design import Design
from jaxmem.study.scanning.executors.base import Executor
from jaxmem.study.scanning.plan import ScanPlan
from jaxmem.study.scanning.question import Question
from jaxmem.study.scanning.result import Scan
from jaxmem.study.scanning.run import Standing, run


def scan(
    source: str | os.PathLike[str] | Question | ScanPlan,
    design: Design | None = None,
    *,
    output: str | os.PathLike[str],
    question: str = "",
    regions: Mapping[str, str] | None = None,
    executor: Executor | None = None,
    chunk: int | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    overrides: Sequence[Override | str] = (),
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = print,
) -> Scan:
    """Ask at every point of a design, in chunks, and write one HDF5 file. Made to be interrupted: the same call goes on.

    - ``source``: an experiment file with a table [scan] (then ``overrides`` are as for :func:`jaxmem.experiment.load`), or
      one of :mod:`jaxmem.questions` with a ``design`` (:mod:`jaxmem.designs`), a ``question`` in words and ``regions``,
      conditions by name.
    - ``output``: the file. Until it is complete, what is done stands in a folder beside it, ``<output>.scan``: a shard
      per chunk, each written whole, synced and renamed. After a kill at any moment the same call computes what has no
      shard, merges and removes the folder; a changed experiment is refused with the difference.
    - ``executor``: one of :mod:`jaxmem.executors`; None computes in this process. ``chunk``: points at a time, from a short
      trial and the free memory if not given. Neither changes a number.
    - ``retry_failed`` tries chunks again that failed as a whole, ``fresh`` throws away what is there.
    - ``progress(done, total)`` counts points; ``note`` is told what a user should know.

    A point that has no answer has a status and a reason and stops nothing. Raises ExperimentError for a file that is
    wrong, PathError for an axis that is no parameter, ScanError where the output belongs to another scan or is being worked
    on, and OSError where the disk is full.
    """
    plan = planned(source, design, question, regions, chunk, overrides)
    tell = None if progress is None else lambda standing: progress(standing.done + standing.failed, standing.points)
    found = run(
        plan, output, executor=executor, fresh=fresh, retry_failed=retry_failed, progress=tell, note=note
    )  # fmt: skip
    assert not isinstance(found, Standing), "only parts may leave something to others"
    return found


def planned(
    source: str | os.PathLike[str] | Question | ScanPlan,
    design: Design | None = None,
    question: str = "",
    regions: Mapping[str, str] | None = None,
    chunk: int | None = None,
    overrides: Sequence[Override | str] = (),
) -> ScanPlan:
    """What would be computed; arguments and errors as for :func:`scan`."""
    if chunk is not None and chunk < 1:
        raise ValueError(f"a chunk has at least one point; found {chunk}")
    if isinstance(source, Question):
        if design is None:
            raise ValueError("a question wants a design: jm.designs.Grid({path: jm.Axis(low, high, points=n)}), ...")
        resolved = design.resolved(source.known, **source.whole_cell)
        return ScanPlan(source, resolved, chunk or 0, question, None, dict(regions or {}))
    if design is not None or question or regions:
        raise ValueError(
            "design, question and regions of an experiment file are in the file; use overrides to change them"
        )
    from jaxmem.study.scanning.file import load_scan

    plan = source if isinstance(source, ScanPlan) else load_scan(source, overrides)
    return plan if chunk is None else dataclasses.replace(plan, chunk=chunk)
