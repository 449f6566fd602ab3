"""What there is room for, at each of the widths that a drawing may have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

# Of a label, with some reserve: fonts differ.
LETTER = 6.6
GLYPH = 14


class Room:
    """Pixels, by the class of what is shown at that width only."""

    def __init__(self, widths: dict[str, int]) -> None:
        self._widths = widths

    def longest(
        self, texts: Sequence[str], share: float, indent: float = 0
    ) -> Iterator[tuple[str, str]]:
        """Of these, longest first, the one that fits into a share of the width; and where."""
        taken: set[str] = set()
        for text in texts:
            need = indent + LETTER * len(text)
            fitting = {name for name, width in self._widths.items() if need <= share * width}
            if fitting - taken:
                yield text, self._classes(fitting - taken)
            taken |= fitting

    def side_by_side(self, places: list[tuple[float, str]]) -> list[list[tuple[int, str]]]:
        """For each sign, with its place and kind: how far it is moved to the right, and where so.

        One that has no room left of the last one is moved; one of the same kind, or that would be
        moved far, is left out there.
        """
        shifts: list[dict[int, set[str]]] = [{} for _ in places]
        for name, width in self._widths.items():
            last, last_kind = -math.inf, ""
            for (share, kind), found in zip(places, shifts):
                at = share * width
                shift = math.ceil(max(0, last + GLYPH - at))
                if shift == 0 or kind != last_kind and shift <= 2 * GLYPH:
                    found.setdefault(shift, set()).add(name)
                    last, last_kind = at + shift, kind
        return [
            [(shift, self._classes(names)) for shift, names in found.items()] for found in shifts
        ]

    def _classes(self, names: set[str]) -> str:
        """None when it is shown at every width."""
        return "" if len(names) == len(self._widths) else " ".join(sorted(names))
