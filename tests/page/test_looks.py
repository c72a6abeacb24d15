"""Who cannot see, point or wait can use the page; what the API sends remains text. SCREENSHOTS=1 writes docs/page/."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest

from checks.repository import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.integration.api import Caller
    from tests.page.conftest import Visit

    Open = Callable[..., Visit]

expect = pytest.importorskip("playwright.sync_api", reason="make test-page installs Playwright").expect

AXE = ROOT / ".local" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
NOW = "2026-03-02T09:30:00.000Z"
IMAGE = "<img src=x onerror='window.hit = 1'>"
CODES = {
    "id",
    "status",
    "format",
    "name",
    "type",
    "pattern",
    "created_at",
    "finished_at",
    "expires_at",
    "enum",
    "default",
    "report",
}
"""Fields that are no text: another value would not be an answer of the API."""


def export(number: int, status: str, **more: Any) -> dict[str, Any]:
    """An export as the API shows it."""
    shown = {
        "id": f"0190a2b4-0000-7000-8000-{9 - number:012}",  # the first is the newest
        "report": "flights",
        "format": "csv",
        "parameters": {"from": "2013-01-01", "to": "2013-12-31"},
        "options": {},
        "file_name": f"flights-{number}.csv",
        "status": status,
        "progress": {"parts_done": None, "parts_total": None},
        "created_at": f"2026-03-02T09:{30 - number * 3:02}:00.000Z",
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "rows": None,
        "bytes": None,
        "crc32": None,
        "attempt": 1,
        "warning": None,
        "error": None,
        "links": {"self": "https://api.example.com/exports/x"},
    }
    return shown | more


EXPORTS = [
    export(1, "RUNNING", progress={"parts_done": 7, "parts_total": 12}),
    export(
        3,
        "SUCCEEDED",
        format="xlsx",
        rows=58_665,
        bytes=5_710_881,
        expires_at="2026-03-09T09:22:00.000Z",
        columns=["dep_time", "dest"],
        sort=[{"column": "dest", "descending": True}],
    ),
    export(
        4,
        "FAILED",
        error={
            "type": "SourceChanged",
            "title": "The data changed while the export ran.",
            "detail": "flights/year=2013/month=4/part-0.parquet is newer than the plan.",
            "state": "FanOutParts",
            "part": 3,
            "retryable": True,
            "remedy": "Retry the export: it reads the new data.",
        },
    ),
    export(5, "QUEUED", format="parquet", parameters={"from": "2013-06-01", "to": "2013-06-30", "origin": "JFK"}),
    export(6, "CANCELLED", format="jsonl.gz"),
    export(7, "EXPIRED", rows=1, bytes=310, expires_at="2026-03-01T09:00:00.000Z"),
]


def everything(seen: Visit, change: Callable[[Any], Any] = lambda answer: answer) -> Page:
    """The page of a user who has exports of every state."""
    page = seen.page
    page.clock.set_fixed_time(NOW)

    def list_exports(route: Any) -> None:
        route.fulfill(json=change({"exports": EXPORTS, "cursor": "more"}), headers={"Access-Control-Allow-Origin": "*"})

    def others(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=change(answer.json()))

    def one(route: Any) -> None:
        found = next(each for each in EXPORTS if route.request.url.endswith(each["id"]))
        route.fulfill(json=change(found), headers={"Access-Control-Allow-Origin": "*"})

    page.route("**/exports", lambda route: list_exports(route) if route.request.method == "GET" else others(route))
    page.route("**/exports/*", lambda route: one(route) if route.request.method == "GET" else route.continue_())
    for name in ("reports", "limits"):
        page.route(f"**/{name}", lambda route: others(route) if route.request.method == "GET" else route.continue_())
    page.goto(seen.address)  # type: ignore[attr-defined]
    expect(page.get_by_role("article")).to_have_count(len(EXPORTS))
    return page


def open_choices(page: Page) -> None:
    page.get_by_text("Columns and order").click()
    page.get_by_label("Sort by").select_option(index=2)
    expect(page.get_by_label("Then by")).to_be_visible()


def violations(page: Page) -> list[str]:
    """What axe-core finds, of every rule of WCAG 2.2 AA and its own best practices."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{rule['id']}: {rule['help']}: {node['target']}" for rule in found for node in rule["nodes"]]


@pytest.mark.skipif(not AXE.exists(), reason="make test-page could not install axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, visit: Open, caller: Caller) -> None:
    page = everything(visit([caller.token], go=False, color_scheme=scheme))
    page.get_by_text("More options").click()
    open_choices(page)
    page.get_by_role("button", name="Request export").click()
    expect(page.get_by_text("Correct the marked fields.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Delete").first.click()
    assert violations(page) == []

    button = visit([caller.token], "export-button", color_scheme=scheme).page
    button.get_by_role("button", name="Export").click()
    expect(button.get_by_label("From")).to_be_visible()
    assert violations(button) == []


def test_a_high_contrast_theme_shows_progress_states_focus_and_busy_buttons(visit: Open, caller: Caller) -> None:
    page = everything(visit([caller.token], go=False, forced_colors="active"))
    done, rest = colours(page.get_by_role("progressbar").first, 0.25, 0.9)
    assert done != rest
    chosen, other = (colours(page.locator(".chip").nth(at), 0.1)[0] for at in (0, 1))
    assert chosen != other
    state = colours(page.locator(".status").first, *(at / 20 for at in range(2, 8)))
    assert len({str(each) for each in state}) > 1, "the dot of the state"

    cancel = page.get_by_role("button", name="Cancel").first
    before = cancel.evaluate("each => getComputedStyle(each).color")
    cancel.evaluate("each => each.setAttribute('aria-disabled', 'true')")
    assert cancel.evaluate("each => getComputedStyle(each).color") != before
    for control in (page.get_by_role("button", name="Download"), page.get_by_role("radio", name="CSV", exact=True)):
        page.keyboard.press("Tab")  # a ring is for who uses the keyboard
        control.focus()
        style = control.evaluate(
            "each => {const {outlineStyle, outlineColor} = getComputedStyle(each.closest('.chip') ?? each);"
            "return [outlineStyle, outlineColor, getComputedStyle(document.body).backgroundColor]; }"
        )
        assert style[0] == "solid"
        assert style[1] != style[2]


def colours(element: Locator, *places: float) -> list[list[int]]:
    """The colours that a user sees of an element: at these places between its left and its right, halfway down."""
    picture = base64.b64encode(element.screenshot(animations="disabled")).decode()
    read = """async ([picture, places]) => {
      const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
      const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
      canvas.drawImage(image, 0, 0);
      const at = (place) => canvas.getImageData(Math.floor(image.width * place), Math.floor(image.height / 2), 1, 1);
      return places.map((place) => [...at(place).data]);
    }"""
    return list(element.page.evaluate(read, [picture, places]))


def test_the_keyboard_is_enough(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    expect(page.get_by_role("button", name="Request export")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("From")).to_be_focused()
    page.keyboard.type("01012013")
    page.get_by_label("To", exact=True).focus()
    page.keyboard.type("01022013")
    page.get_by_role("radio", name="CSV", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Flights: Ready")
    assert [each["format"] for each in caller.exports()] == ["csv.gz"]
    page.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete")).to_be_focused()


@pytest.mark.parametrize("width", [320, 500])
def test_nothing_is_cut_off_on_a_phone_or_at_200_percent(width: int, visit: Open, caller: Caller) -> None:
    page = everything(visit([caller.token], go=False, viewport={"width": width, "height": 900}))
    page.get_by_text("More options").click()
    open_choices(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_the_api_sends_remains_text(visit: Open, caller: Caller) -> None:
    page = everything(visit([caller.token], go=False), injected)
    page.get_by_text("More options").click()
    open_choices(page)
    page.get_by_label("From").fill("2013-02-01")
    page.get_by_label("To", exact=False).and_(page.locator("[type=date]")).last.fill("2013-01-01")
    page.get_by_role("button", name="Request export").click()
    expect(page.get_by_text("is before")).to_be_visible()
    for text in ("Every departure", "First departure date", "The data changed", "is newer than", "Retry the export"):
        expect(page.get_by_text(text).first).to_contain_text(IMAGE)
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0


def test_a_signed_address_that_is_a_script_is_not_opened(visit: Open, caller: Caller) -> None:
    page = everything(visit([caller.token], go=False))
    script = {"url": "javascript:window.hit=1", "file_name": "x", "expires_at": NOW}
    page.route("**/file", lambda route: route.fulfill(json=script, headers={"Access-Control-Allow-Origin": "*"}))
    page.get_by_role("button", name="Download").click()
    expect(page.get_by_text("Something went wrong")).to_be_visible()
    assert page.evaluate("window.hit") is None


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="make test-page SCREENSHOTS=1 writes docs/page/")
@pytest.mark.parametrize(
    ("name", "width", "scheme"), [("light", 860, "light"), ("dark", 860, "dark"), ("phone", 390, "light")]
)
def test_screenshots(name: str, width: int, scheme: str, visit: Open, caller: Caller) -> None:
    size = {"width": width, "height": 3200}
    page = everything(visit([caller.token], go=False, viewport=size, color_scheme=scheme))
    page.get_by_label("From").fill("2013-01-01")
    page.get_by_label("To", exact=True).fill("2013-12-31")
    page.evaluate("document.activeElement.shadowRoot.activeElement.blur()")
    last = page.get_by_role("article").nth(2).bounding_box()
    assert last
    picture = ROOT / "docs" / "page" / f"{name}.png"
    picture.parent.mkdir(exist_ok=True)
    clip = {"x": 0, "y": 0, "width": width, "height": last["y"] + last["height"] + 10}
    page.screenshot(path=picture, animations="disabled", clip=clip)
    assert picture.stat().st_size < 160_000


def injected(answer: Any, field: str = "") -> Any:
    """An answer with markup in every text."""
    if isinstance(answer, dict):
        return {name: injected(value, name) for name, value in answer.items()}
    if isinstance(answer, list):
        return [injected(value, field) for value in answer]
    return f"{IMAGE}{answer}" if isinstance(answer, str) and field not in CODES else answer
