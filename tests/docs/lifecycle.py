"""The page of the table of a trade's life; `python -m tests.docs.lifecycle` writes it."""

from collections.abc import Iterator
from pathlib import Path

from services.order.domain.lifecycle import TABLE, Event, State, Still

DOCUMENT = Path(__file__).parents[2] / "docs" / "LIFECYCLE.md"


def diagram() -> str:
    """A Mermaid diagram of the statuses: what leads from one to another."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in TABLE.items():
        for event, then in row.items():
            if isinstance(then, State) and then.status is not state.status:
                names = arrows.setdefault((_status(state), _status(then)), [])
                names.extend([] if event.name in names else [event.name])
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    for (before, to), names in arrows.items():
        lines.append(f"    {before} --> {to}: {', '.join(names)}")
    ends = [state for state in State if state.status and state.status.is_terminal]
    lines.extend(f"    {_status(state)} --> [*]" for state in ends)
    return "\n".join([*lines, "```"])


def _status(state: State) -> str:
    return state.status.name if state.status else "[*]"


def table() -> str:
    """One row per state: where it goes by which event, and what else is said of the others."""
    lines = ["| state | goes to | nothing new | impossible |", "|---|---|---|---|"]
    lines.extend(f"| `{state.name}` | {' | '.join(_cells(state))} |" for state in State)
    return "\n".join(lines)


def _cells(state: State) -> Iterator[str]:
    row = TABLE[state]
    moves: dict[State, list[str]] = {}
    for event, then in row.items():
        if isinstance(then, State):
            moves.setdefault(then, []).append(event.name)
    yield "<br>".join(f"{', '.join(names)}: `{then.name}`" for then, names in moves.items())
    yield ", ".join(event.name for event, then in row.items() if then is Still.REPEATED)
    why: dict[Still, list[str]] = {}
    for event, then in row.items():
        if isinstance(then, Still) and then.is_impossible:
            why.setdefault(then, []).append(event.name)
    yield "<br>".join(f"{', '.join(names)}: {then.value}" for then, names in why.items())


def events() -> str:
    """One row per event: what it is recorded as, and ExecType."""
    lines = ["| event | recorded as | ExecType (150) |", "|---|---|---|"]
    lines.extend(
        f"| {event.name} | {event.kind.name} | {event.exec_type or '-'} |" for event in Event
    )
    return "\n".join(lines)


def states() -> str:
    """One row per state: its status, and OrdStatus."""
    lines = ["| state | status | filled in part | OrdStatus (39) |", "|---|---|---|---|"]
    lines.extend(
        f"| {state.name} | {state.status.name} | {'yes' if state.is_filled_in_part else ''} "
        f"| {state.ord_status} |"
        for state in State
        if state.status
    )
    return "\n".join(lines)


def written(text: str) -> str:
    """The document with each part between its marks as the table has it."""
    for name, part in (
        ("diagram", diagram),
        ("table", table),
        ("states", states),
        ("events", events),
    ):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{part()}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
