"""Tables, for a terminal or in Markdown."""

from dataclasses import dataclass, field

Cell = str


@dataclass
class Table:
    """Rows under a head; the first `left` columns are words, the others numbers, to the right."""

    title: str
    head: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    left: int = 1

    def text(self) -> str:
        widths = [max(len(row[i]) for row in [self.head, *self.rows]) for i in range(len(self.head))]
        lines = [self.title]
        for row in [self.head, *self.rows]:
            cells = [cell.ljust(width) for cell, width in zip(row[: self.left], widths)]
            cells += [cell.rjust(width) for cell, width in zip(row[self.left :], widths[self.left :])]
            lines.append(("  " + "  ".join(cells)).rstrip())
        return "\n".join([*lines, *self.notes])

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", *self.notes, *([""] if self.notes else [])]
        lines.append("| " + " | ".join(self.head) + " |")
        lines.append("|" + "---|" * self.left + "---:|" * (len(self.head) - self.left))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines)
