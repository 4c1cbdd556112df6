"""Sets of ions as dictionaries by name, and the check that each says something of every ion."""

from collections.abc import Iterable, Mapping
from typing import Any

SODIUM_PUMP = {"na": 3, "k": -2}  # ions moved outward by one cycle of the Na,K-ATPase, for one ATP
MONOVALENT = {"na": 1, "k": 1}  # valences of the ions of that pump


def require_ions(names: Iterable[str], **given: Mapping[str, Any]) -> None:
    """Raises ValueError where one of the dictionaries lacks one of the ions."""
    for what, of in given.items():
        if missing := [name for name in names if name not in of]:
            raise ValueError(
                f"{what} says nothing of {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, of)) or 'no ion'}: give one value for each ion"
            )
