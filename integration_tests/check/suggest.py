"""Near words, for those who mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """The word that was meant, perhaps: one that it begins, or is like."""
    known = list(known)
    begun = [each for each in known if word and each.startswith(word)]
    alike = difflib.get_close_matches(word, known, 1, 0.6)
    return (begun if len(begun) == 1 else alike or begun or [""])[0]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ ", did you mean reload.busy?", or nothing. """
    found = near(word, known)
    return f", did you mean {found}?" if found else ""
