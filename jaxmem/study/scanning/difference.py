"""What is not as it was when a scan was begun, in words."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.study.scanning.plan import ScanPlan


def difference(text: str | None, design: Mapping[str, Any], parameters: Mapping[str, Any], plan: ScanPlan) -> list[str]:
    """What is not as it was when the scan was begun, in lines: of the file, and where that is the same, of the numbers."""
    before, now = (text or "").splitlines(), (plan.text or "").splitlines()
    lines = [x for x in difflib.unified_diff(before, now, lineterm="", n=0) if not x.startswith(("---", "+++", "@@"))]
    if not lines:
        plainly = lambda x: json.loads(json.dumps(x, default=lambda y: np.asarray(y).tolist()))
        for was, is_ in (
            (parameters, {path: plainly(p.value) for path, p in plan.question.known.items() if path in parameters}),
            (_flat(design), _flat(plainly(plan.design.told))),
        ):
            lines += [
                f"{k}: was {was.get(k)}, is {is_.get(k)}" for k in sorted({*was, *is_}) if was.get(k) != is_.get(k)
            ]
    return [f"  {line}" for line in lines] or ["  (what is asked changed, or the version of jaxmem that asks)"]


def _flat(told: Mapping[str, Any], before: str = "design") -> dict[str, Any]:
    """Nested tables as one, by path."""
    found: dict[str, Any] = {}
    for key, x in told.items():
        found |= _flat(x, f"{before}, {key}") if isinstance(x, dict) else {f"{before}, {key}": x}
    return found
