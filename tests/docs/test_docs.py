"""Documents say what is so."""

import importlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.settings import PREFIX
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1.order_pb2 import TradeEventKind, TradeStatus

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")]
)
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/__init__.py"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def _anchors(document: Path) -> set[str]:
    """The anchors a Markdown viewer gives to the headings."""
    headings = _HEADING.findall(document.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link} in {document.name}"
        assert target.is_relative_to(ROOT), f"{link} in {document.name} leaves the repository"
        if anchor:
            assert anchor in _anchors(target), f"{link} in {document.name}"


def _first_column(document: Path) -> list[str]:
    """What stands in backticks in the first column of the document's tables."""
    return re.findall(r"^\| `([^`]+)`", document.read_text(), re.MULTILINE)


def test_the_table_of_reasons_is_the_enum() -> None:
    names = [v.name.removeprefix("REASON_") for v in Reason.DESCRIPTOR.values if v.number]
    assert _first_column(ROOT / "docs" / "REASONS.md") == names


def test_the_reasons_that_are_given_are_those_of_the_code() -> None:
    given = {
        name
        for part in ("libs", "services")
        for path in (ROOT / part).rglob("*.py")
        if path.parts[-2] not in ("cli", "commands")
        for name in re.findall(r"\bReason\.(?:REASON_)?([A-Z_]+)\b", path.read_text())
    }
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \|", (ROOT / "docs" / "REASONS.md").read_text(), re.MULTILINE
    )
    said = {name for name, means in rows if not means.startswith("Not given by this version")}
    assert said == given & {name for name, _ in rows}


def test_the_glossary_explains_every_status_and_event() -> None:
    explained = set(_first_column(ROOT / "docs" / "GLOSSARY.md"))
    for prefix, enum in (("TRADE_STATUS_", TradeStatus), ("TRADE_EVENT_KIND_", TradeEventKind)):
        names = {v.name.removeprefix(prefix) for v in enum.DESCRIPTOR.values if v.number}
        assert names <= explained


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_what_it_is(service: str) -> None:
    assert (ROOT / "services" / service / "README.md").exists()


@pytest.mark.parametrize("service", SERVICES)
def test_every_room_of_its_own_is_told_by_its_service(service: str) -> None:
    """Of those that every service has there is word in docs/ARCHITECTURE.md."""
    folder = ROOT / "services" / service
    usual = re.compile(
        r"__init__|main|settings|service|consumer|neighbours|domain|(.*_)?(wire|store)"
    )
    readme = (folder / "README.md").read_text()
    rooms = [path.stem for path in folder.glob("*.py") if not usual.fullmatch(path.stem)]
    assert [room for room in rooms if not re.search(rf"`([^`]*/)?{room}\.py`", readme)] == []


def _settings(service: str) -> type[msgspec.Struct] | None:
    """The settings of a service: `Settings` of its room `settings` or `main`."""
    for room in ("settings", "main"):
        if (ROOT / "services" / service / f"{room}.py").exists():
            found = getattr(importlib.import_module(f"services.{service}.{room}"), "Settings", None)
            if found is not None:
                return found  # type: ignore[no-any-return]
    return None


def _shown(default: Any) -> str:
    """A default as the table shows it; required settings show a dash."""
    if default is msgspec.NODEFAULT:
        return "-"
    if isinstance(default, bool):
        return str(default).lower()
    return f"`{default}`" if default != "" else "empty"


@pytest.mark.parametrize("service", SERVICES)
def test_the_table_of_settings_is_the_settings(service: str) -> None:
    settings = _settings(service)
    if settings is None:
        pytest.skip(f"{service} has no settings")
    readme = (ROOT / "services" / service / "README.md").read_text()
    rows = re.findall(
        rf"^\| `({PREFIX}[A-Z0-9_]+)` \| ([^|]+) \| ([^|]+) \|$", readme, re.MULTILINE
    )
    fields = msgspec.structs.fields(settings)
    assert [name for name, _, _ in rows] == [PREFIX + field.name.upper() for field in fields]
    for (name, shown, _), field in zip(rows, fields, strict=True):
        assert shown.strip().replace("`", "") == _shown(field.default).replace("`", ""), name
