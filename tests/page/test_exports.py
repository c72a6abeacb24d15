"""What a user does with exports, in a real browser, against the stack."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page, Route

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed
    from tests.page.conftest import Visit

    Open = Callable[..., Visit]

expect = pytest.importorskip("playwright.sync_api", reason="make test-page installs Playwright").expect

ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
REFUSAL = {
    "title": "The request is not valid.",
    "errors": [{"pointer": "/parameters/codes/1", "detail": "is unknown", "allowed": "A"}],
}
HIDE = """(hidden) => { Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange")); }"""
FAILURE = {"state": "FanOutParts", "type": "SourceUnavailable", "error": "{}", "part": "0"}


def fill(page: Page, first: str = "2013-01-01", last: str = "2013-01-02") -> None:
    page.get_by_label("From").fill(first)
    page.get_by_label("To", exact=True).fill(last)


def request(page: Page, **dates: str) -> None:
    fill(page, **dates)
    page.get_by_role("button", name="Request export").click()


def newest(page: Page) -> Locator:
    return page.get_by_role("article").first


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).check()


def test_each_format_is_requested_followed_and_downloaded_as_the_api_has_it(
    visit: Open, caller: Caller, tmp_path: Path
) -> None:
    seen = visit([caller.token])
    page = seen.page
    for at, name in enumerate(["CSV", "CSV (gzip)", "JSON Lines", "JSON Lines (gzip)", "Parquet", "Excel"]):
        choose(page, name)
        request(page)
        expect(page.get_by_role("article")).to_have_count(at + 1)
        expect(newest(page).get_by_text("Ready", exact=True)).to_be_visible()
        with page.expect_download() as download:
            newest(page).get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / "file")
        export = caller.exports()[0]
        assert download.value.suggested_filename == export["file_name"]
        assert (tmp_path / "file").read_bytes() == caller.download(export).content
    assert [each["format"] for each in seen.heard("export-requested")] == [
        each["format"] for each in seen.heard("export-ended")
    ]
    assert {each["status"] for each in seen.heard("export-ended")} == {"SUCCEEDED"}


def test_faults_stand_beside_their_fields_first_the_pages_own_and_then_the_apis(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    page.get_by_label("Origin").fill("jfk")
    page.get_by_label("Minimum departure delay").fill("1.5")
    page.get_by_role("button", name="Request export").click()
    for label, fault in (
        ("From", "Fill in this field."),
        ("Origin", "This does not have the expected form."),
        ("Minimum departure delay", "Enter a whole number."),
    ):
        expect(page.get_by_label(label)).to_have_accessible_description(_ending(fault))
    expect(page.get_by_label("From")).to_be_focused()
    page.get_by_label("Origin").fill("")
    page.get_by_label("Minimum departure delay").fill("")

    page.get_by_text("More options").click()
    page.get_by_label("Time zone").fill("Nowhere/Land")
    request(page, first="2013-02-01", last="2013-01-01")
    expect(page.get_by_label("To", exact=True)).to_have_accessible_description(_ending("2013-02-01 or later."))
    expect(page.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    assert caller.exports() == []


def test_every_kind_of_parameter_has_its_field_and_is_sent_as_its_type(visit: Open, caller: Caller) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "count": {"title": "Count", "type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        "share": {"title": "Share", "type": "number"},
        "region": {"title": "Region", "type": "string", "enum": ["north", "south"]},
        "paid": {"title": "Paid", "type": "boolean"},
        "codes": {"title": "Codes", "type": "array", "maxItems": 2, "items": {"type": "string", "pattern": "^[A-Z]+$"}},
        "sizes": {"title": "Sizes", "type": "array", "items": {"type": "integer", "enum": [1, 2, 3]}},
        "left": {"title": "Left out", "type": "string"},
    }
    report = next(each for each in caller.get("/reports").json["reports"] if each["id"] == "flights")
    sales = report | {"id": "sales", "title": "Sales", "parameters": {"properties": kinds, "required": ["count"]}}
    seen = visit([caller.token], "report-exports", go=False)
    page, sent = seen.page, []

    def answer(route: Any) -> None:
        if route.request.method == "OPTIONS":
            return route.continue_()
        if route.request.method == "GET":
            return route.fulfill(json={"reports": [report, sales]}, headers=ANY_ORIGIN)
        sent.append(route.request.post_data_json)
        return route.fulfill(json=REFUSAL, status=400, headers=ANY_ORIGIN)

    page.route("**/reports", answer)
    page.route("**/exports", lambda route: answer(route) if route.request.method == "POST" else route.continue_())
    page.goto(seen.address)  # type: ignore[attr-defined]
    page.get_by_label("Report", exact=True).select_option("Sales")
    expect(page.get_by_label("Count")).to_have_value("3")
    page.get_by_label("Count").fill("11")
    page.get_by_label("Codes").fill("A\nB\nC")
    page.get_by_role("button", name="Request export").click()
    expect(page.get_by_text("Enter 10 or less.")).to_be_visible()
    expect(page.get_by_text("Enter at most 2 values.")).to_be_visible()
    page.get_by_label("Count").fill("7")
    page.get_by_label("Share").fill("0.25")
    page.get_by_label("Region").select_option("south")
    page.get_by_label("Paid").select_option("No")
    page.get_by_label("Codes").fill("A\n\nB")
    page.get_by_label("2", exact=True).check()
    page.get_by_role("button", name="Request export").click()
    expect(page.get_by_label("Codes")).to_have_accessible_description(_ending("2: Is unknown. Allowed: A."))
    parameters = {"count": 7, "share": 0.25, "region": "south", "paid": False, "codes": ["A", "B"], "sizes": [2]}
    assert sent == [{"report": "sales", "format": "csv", "parameters": parameters, "options": {}}]


def test_columns_and_order_are_chosen_in_a_part_that_is_loaded_when_it_is_opened(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    loaded = "performance.getEntriesByType('resource').some((each) => each.name.includes('/choices.js'))"
    expect(page.get_by_role("button", name="Request export")).to_be_visible()
    assert not page.evaluate(loaded)
    page.get_by_text("Columns and order").click()
    page.get_by_role("button", name="Select none").click()
    assert page.evaluate(loaded)
    request(page, last="2013-01-31")
    expect(page.get_by_text("Select at least one column.")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Year")).to_be_focused()

    page.get_by_role("checkbox", name="Day").check()
    page.get_by_role("checkbox", name="Departure time", exact=True).check()
    up = page.get_by_role("button", name="Move Departure time up", exact=True)
    up.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Departure time: 3 of")).to_be_attached()
    expect(up).to_be_focused()
    page.get_by_label("Sort by").select_option("Departure delay (minutes)")
    page.get_by_label("Direction of Departure delay (minutes)").select_option("Descending")
    page.get_by_label("Then by").select_option("Day")
    page.get_by_role("button", name="Request export").click()
    card = newest(page)
    expect(card.get_by_text("Ready", exact=True)).to_be_visible()
    expect(card).to_contain_text(
        "Columns: Departure time, Day · Order: Departure delay (minutes) (descending), Day", use_inner_text=True
    )
    [export] = caller.exports()
    assert export["columns"] == ["dep_time", "day"]
    assert export["sort"] == [{"column": "dep_delay", "descending": True}, {"column": "day", "descending": False}]
    # The flight of 9 January left 1,301 minutes late.
    assert caller.download(export).content.startswith(b"Departure time,Day\n06:41,9\n")


def test_a_part_that_could_not_be_loaded_can_be_opened_again(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    page.route("**/choices.js", lambda route: route.abort(), times=1)
    page.get_by_text("Columns and order").click()
    expect(page.get_by_text("Something went wrong. Reload the page.")).to_be_visible()
    page.get_by_text("Columns and order").click()
    expect(page.get_by_role("checkbox", name="Year")).to_be_visible()
    expect(page.get_by_text("Something went wrong. Reload the page.")).to_be_hidden()


def test_a_part_may_arrive_after_its_form_has_gone(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    held: list[Route] = []
    page.route("**/choices.js", lambda route: held.append(route))
    with page.expect_request("**/choices.js"):
        page.get_by_text("Columns and order").click()
    page.evaluate("document.querySelector('[api]').lang = 'de'")
    page.get_by_text("Spalten und Reihenfolge").click()
    held[0].continue_()
    expect(page.get_by_role("checkbox", name="Year")).to_be_visible()


def test_a_limit_is_said_before_it_hurts(visit: Open, caller: Caller, deployed: Deployed) -> None:
    for _ in range(caller.get("/limits").json["active_exports"]["limit"]):
        deployed.fabricate(caller.owner, "QUEUED")
    page = visit([caller.token]).page
    expect(page.get_by_text("5 exports are queued or running, and no more are allowed.")).to_be_visible()
    request(page)
    expect(page.get_by_role("alert").filter(has_text="the limit is 5")).to_be_visible()


def test_a_running_export_is_cancelled_retried_and_deleted(visit: Open, caller: Caller) -> None:
    seen = visit([caller.token])
    page = seen.page
    request(page, first="2013-01-01", last="2013-12-31")
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).get_by_text("Cancelled")).to_be_visible()
    assert [each["status"] for each in seen.heard("export-ended")] == ["CANCELLED"]
    newest(page).get_by_role("button", name="Try again").click()
    expect(newest(page).get_by_text("Ready", exact=True)).to_be_visible()
    newest(page).get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep").click()
    expect(newest(page)).to_be_visible()
    newest(page).get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("You have no exports yet")).to_be_visible()
    expect(page.get_by_role("heading", name="Your exports")).to_be_focused()
    assert caller.exports() == []


def test_a_failure_says_why_and_succeeds_when_its_cause_is_gone(visit: Open, deployed: Deployed) -> None:
    caller = deployed.sign_up(f"test-{uuid.uuid4().hex[:12]}")
    path, content = f"flights/year=2094/month=1/{uuid.uuid4().hex}.parquet", source.parquet(caller.tenant)
    page = visit([caller.token]).page
    with deployed.source_file(path, bytes(source.with_damaged_footer(content[:]))):
        request(page, first="2094-01-01", last="2094-01-31")
        expect(newest(page).get_by_text("Failed", exact=True)).to_be_visible()
    [failed] = caller.exports()
    expect(newest(page).get_by_text(failed["error"]["title"])).to_be_visible()
    expect(newest(page).get_by_text(failed["error"]["remedy"])).to_be_visible()
    with deployed.source_file(path, bytes(content)):
        newest(page).get_by_role("button", name="Try again").click()
        expect(newest(page).get_by_text("1,000 rows")).to_be_visible()


def test_two_users_see_only_their_own(visit: Open, deployed: Deployed, caller: Caller) -> None:
    other = deployed.sign_up("HA")
    mine, theirs = caller.make(last="2013-01-01"), other.make(last="2013-01-02")
    pages = [visit([each.token], f'report-exports export="{mine["id"]}"').page for each in (caller, other)]
    expect(newest(pages[0]).get_by_role("heading")).to_be_focused()
    expect(pages[0].get_by_role("article")).to_have_count(1)
    expect(pages[1].get_by_role("article")).to_have_count(1)
    expect(pages[1].get_by_text("This export does not exist any more, or belongs to somebody else.")).to_be_visible()
    assert theirs["id"] != mine["id"]


def test_an_expired_token_is_renewed_once_and_then_the_user_signs_in_again(visit: Open, caller: Caller) -> None:
    renewed = visit(["expired", caller.token])
    expect(renewed.page.get_by_role("button", name="Request export")).to_be_visible()
    assert {"anew": True} in renewed.asked

    ended = visit(["expired"])
    expect(ended.page.get_by_text("Your session has ended")).to_be_visible()
    expect(ended.page.get_by_text("Your exports")).to_be_hidden()
    asked = len(ended.asked)
    ended.page.get_by_role("button", name="Sign in").click()
    assert len(ended.heard("sign-in-required")) == 2
    assert len(ended.asked) == asked, "nothing is asked until the user has signed in"
    ended.tokens = [caller.token]
    ended.page.evaluate("const e = document.querySelector('[api]'); e.getToken = () => window.token(null)")
    expect(ended.page.get_by_role("button", name="Request export")).to_be_visible()
    expect(ended.page.get_by_text("Your session has ended")).to_be_hidden()


def test_a_lost_network_comes_back(visit: Open, caller: Caller, deployed: Deployed) -> None:
    export = deployed.fabricate(caller.owner, "QUEUED")
    page = visit([caller.token]).page
    expect(newest(page).get_by_text("Queued")).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("There is no connection")).to_be_visible()
    deployed.update(caller.owner, export, "status", "CANCELLED")
    page.context.set_offline(False)
    expect(newest(page).get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_text("There is no connection")).to_be_hidden()


def test_a_request_whose_answer_is_lost_remains_one_export(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    keys: list[str] = []

    def lose(route: Any) -> None:
        if route.request.method != "POST":
            return route.continue_()
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            return route.abort()
        return route.continue_()

    page.route("**/exports", lose)
    request(page)
    expect(page.get_by_role("article")).to_have_count(1)
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(caller.exports()) == 1


def test_polling_reads_only_what_is_active_slows_down_and_honours_retry_after(
    visit: Open, caller: Caller, deployed: Deployed
) -> None:
    active = deployed.fabricate(caller.owner, "QUEUED")
    deployed.fabricate(caller.owner, "FAILED", failure=FAILURE)
    seen = visit([caller.token], go=False)
    page, calls = seen.page, []

    def count(route: Any) -> None:
        calls.append(route.request.url.rsplit("/v1", 1)[1])
        answer = route.fetch()
        route.fulfill(response=answer, headers=answer.headers | ({"retry-after": "30"} if len(calls) > 6 else {}))

    page.clock.install()
    page.route("**/v1/**", lambda route: count(route) if route.request.method == "GET" else route.continue_())
    page.goto(seen.address)  # type: ignore[attr-defined]
    expect(newest(page)).to_be_visible()
    page.wait_for_timeout(200)  # the observer of what is in view is not told at once
    assert sorted(calls) == ["/exports", "/limits", "/reports"]
    for _ in range(60):
        page.clock.run_for(1000)
        page.wait_for_timeout(10)
    polled = calls[3:]
    assert set(polled) == {f"/exports/{active}"}
    assert 5 <= len(polled) <= 7, polled  # 2, 2.8, 3.9, 5.5 s, then the 30 s that the API has asked for


def test_nothing_is_read_in_a_hidden_tab(visit: Open, caller: Caller, deployed: Deployed) -> None:
    deployed.fabricate(caller.owner, "QUEUED")
    page = visit([caller.token]).page
    expect(newest(page)).to_be_visible()
    calls: list[str] = []
    page.evaluate(HIDE, True)
    page.on("request", lambda sent: calls.append(sent.url))
    page.wait_for_timeout(4000)
    assert calls == []
    with page.expect_request("**/exports/*"):
        page.evaluate(HIDE, False)


@pytest.mark.parametrize("away", ["hidden", "offline", "both"])
def test_who_comes_back_sees_what_has_changed_elsewhere(
    away: str, visit: Open, caller: Caller, deployed: Deployed
) -> None:
    kept, gone = (
        deployed.fabricate(caller.owner, "SUCCEEDED"),
        deployed.fabricate(caller.owner, "FAILED", failure=FAILURE),
    )
    page = visit([caller.token]).page
    expect(page.get_by_role("article")).to_have_count(2)
    page.clock.install()
    page.clock.fast_forward(10_000)
    if away != "offline":
        page.evaluate(HIDE, True)
    if away != "hidden":
        page.context.set_offline(True)
    deployed.forget({"owner": caller.owner, "export_id": gone})
    deployed.update(caller.owner, kept, "expires_at", "2020-01-01T00:00:00.000Z")
    deployed.fabricate(caller.owner, "CANCELLED")
    lists: list[str] = []
    page.on("response", lambda answer: lists.append(answer.url) if answer.url.endswith("/exports") else None)
    if away != "offline":
        page.evaluate(HIDE, False)
        page.clock.run_for(1)
    if away != "hidden":
        page.context.set_offline(False)
        page.clock.run_for(1)
    expect(newest(page).get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_role("article").last.get_by_text("Expired")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(2)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.clock.run_for(4_000)
    page.wait_for_timeout(200)
    assert len(lists) == 1, "read once"


def test_more_exports_are_shown_below_the_first_page(visit: Open, caller: Caller, deployed: Deployed) -> None:
    made = [deployed.fabricate(caller.owner, "CANCELLED") for _ in range(23)]
    page = visit([caller.token]).page
    expect(page.get_by_role("article")).to_have_count(20)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("article")).to_have_count(23)
    assert page.locator("li").evaluate_all("items => items.map((each) => each.id)") == made[::-1]
    expect(page.get_by_role("article").nth(20).get_by_role("heading")).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()

    page.clock.install()
    page.clock.fast_forward(10_000)
    made.append(deployed.fabricate(caller.owner, "CANCELLED"))
    page.evaluate(HIDE, False)
    page.clock.run_for(1)
    expect(page.get_by_role("article")).to_have_count(24)
    assert page.locator("li").evaluate_all("items => items.map((each) => each.id)") == made[::-1]


def test_a_file_that_has_expired_meanwhile_is_not_opened_and_the_user_reads_what_to_do(
    visit: Open, caller: Caller, deployed: Deployed
) -> None:
    export = deployed.fabricate(caller.owner, "SUCCEEDED")
    page = visit([caller.token]).page
    download = newest(page).get_by_role("button", name="Download")
    expect(download).to_be_visible()
    deployed.update(caller.owner, export, "expires_at", "2020-01-01T00:00:00.000Z")
    address = page.url
    download.click()
    expect(newest(page).get_by_role("alert")).to_contain_text("The file has expired.")
    expect(newest(page).get_by_role("alert")).to_contain_text("Request the export again.")
    expect(newest(page).get_by_text("Expired", exact=True)).to_be_visible()
    expect(download).to_be_hidden()
    expect(newest(page).get_by_role("heading")).to_be_focused()
    assert page.url == address


def test_a_button_follows_an_export_that_the_product_has_kept(visit: Open, caller: Caller, deployed: Deployed) -> None:
    export = deployed.fabricate(caller.owner, "QUEUED")
    page = visit([caller.token], f'export-button report="flights" export="{export}"').page
    expect(page.locator("[part=state]")).to_have_text(" Flights: Queued")
    deployed.update(caller.owner, export, "status", "CANCELLED")
    expect(page.locator("[part=state]")).to_have_text(" Flights: Cancelled")
    page.get_by_role("button", name="Export").click()
    expect(newest(page).get_by_role("button", name="Try again")).to_be_visible()
    page.get_by_role("button", name="New export").click()
    expect(page.get_by_label("From")).to_be_visible()


def test_a_button_has_form_progress_and_download_in_its_dialog(visit: Open, caller: Caller) -> None:
    seen = visit([caller.token], 'export-button report="flights"')
    page = seen.page
    assert seen.asked == [], "nothing is asked before somebody wants an export"
    page.get_by_role("button", name="Export").focus()
    page.keyboard.press("Enter")
    request(page)
    expect(newest(page).get_by_text("Ready", exact=True)).to_be_visible()
    with page.expect_download() as download:
        newest(page).get_by_role("button", name="Download").click()
    assert Path(download.value.path()).read_bytes() == caller.download(caller.exports()[0]).content
    page.keyboard.press("Escape")
    expect(page.locator("[part=state]")).to_have_text(" Flights: Ready")
    expect(page.get_by_role("button", name="Export")).to_be_focused()


@pytest.mark.parametrize(
    ("element", "said"),
    [
        ('report-exports report="sales"', "There is no report “sales”. There are: delays, fleet, flights, worst-days."),
        ('report-exports api=""', "The attribute api is missing."),
    ],
)
def test_a_wrong_attribute_is_named(element: str, said: str, visit: Open, caller: Caller) -> None:
    if "api" in element:
        page = visit([caller.token]).page
        page.evaluate("document.querySelector('report-exports').removeAttribute('api')")
    else:
        page = visit([caller.token], element).page
    expect(page.get_by_text(said)).to_be_visible()


def test_a_user_whom_the_api_refuses_is_told_and_the_page_does_not_ask_again(visit: Open, deployed: Deployed) -> None:
    seen = visit([deployed.sign_up(None).token], go=False)
    page, calls = seen.page, []
    page.clock.install()
    page.goto(seen.address)  # type: ignore[attr-defined]
    expect(page.get_by_text("The identity is incomplete.")).to_be_visible()
    page.on("request", lambda sent: calls.append(sent.url))
    page.clock.run_for(60_000)
    page.wait_for_timeout(200)
    assert calls == []


def test_a_framework_may_set_the_attributes_as_properties(visit: Open, caller: Caller) -> None:
    page = visit([caller.token], "report-exports").page
    page.evaluate("""() => {
        const [first, next] = [document.querySelector("[api]"), document.createElement("report-exports")];
        Object.assign(next, {api: first.api, report: "flights", getToken: first.getToken});
        first.replaceWith(next);
    }""")
    assert page.locator("report-exports").get_attribute("report") == "flights"
    expect(page.get_by_role("button", name="Request export")).to_be_visible()


def test_what_is_no_function_is_no_get_token(visit: Open, caller: Caller) -> None:
    page = visit([caller.token]).page
    with pytest.raises(Exception, match="getToken must be a function that returns a token, not string"):
        page.evaluate("() => { document.querySelector('[api]').getToken = 'a token'; }")


def test_the_language_is_german_where_the_page_is(visit: Open, caller: Caller) -> None:
    caller.make(last="2013-01-02")
    page = visit([caller.token], 'report-exports report="flights" lang="de"').page
    expect(page.get_by_role("button", name="Export anfordern")).to_be_visible()
    expect(newest(page).get_by_text("Fertig", exact=True)).to_be_visible()
    expect(newest(page)).to_contain_text("01.01.2013")


def test_a_language_without_texts_gets_english_that_says_so(visit: Open, caller: Caller) -> None:
    page = visit([caller.token], 'report-exports report="flights" lang="fr"').page
    submit = page.get_by_role("button", name="Request export")
    assert submit.evaluate("each => each.closest('[lang]').lang") == "en"


def test_a_german_page_translates_the_apis_errors_and_marks_what_stays_english(
    visit: Open, caller: Caller, deployed: Deployed
) -> None:
    cause = json.dumps({"Cause": json.dumps({"errorMessage": "no such folder"})})
    deployed.fabricate(
        caller.owner, "FAILED", failure={"state": "PlanParts", "type": "SourceMissing", "error": cause, "part": ""}
    )
    deployed.fabricate(
        caller.owner, "FAILED", failure={"state": "PlanParts", "type": "S3.Strange", "error": "{}", "part": ""}
    )
    page = visit([caller.token], 'report-exports report="flights" lang="de-AT"').page
    known = page.get_by_role("article").filter(has_text="Die Quelldaten gibt es nicht")
    expect(known).to_contain_text("Legen Sie die Dateien oder die Tabelle an")
    expect(known.locator("[lang=en]")).to_have_text(["no such folder"])
    expect(page.get_by_role("article").filter(has_text="An AWS service failed").locator("[lang=en]")).to_have_text(
        ["An AWS service failed", "Retry."]
    )

    page.get_by_label("From").fill("2013-02-01")
    page.get_by_label("To", exact=True).fill("2013-01-01")
    page.get_by_text("Weitere Optionen").click()
    page.get_by_label("Zeitzone").fill("Nowhere/Land")
    page.get_by_label("Dateiname").fill(".")
    page.get_by_role("button", name="Export anfordern").click()
    for label, fault in (
        ("To", "2013-01-01 liegt vor dem ersten Datum. Erlaubt: 2013-02-01 oder später."),
        ("Zeitzone", '"Nowhere/Land" ist keine bekannte Zeitzone. Erlaubt: ein Name wie'),
        ("Dateiname", "Is empty without dots"),
    ):
        expect(page.get_by_label(label, exact=True)).to_have_accessible_description(re.compile(re.escape(fault)))
    faults = page.locator("p.fault [lang=en]")
    expect(faults).to_have_text([re.compile("^Is empty without dots"), "a name such as orders-june."])


def _ending(text: str) -> Any:
    return re.compile(re.escape(text) + "$")
