"""The hosted page in a real browser: it signs a user in at the issuer, and nobody else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from tests.integration.api import http
from tests.integration.deployed import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.integration.deployed import Deployed

SESSION = "report-exports:session"


class Visitor:
    """Somebody who opens the hosted page in a browser of their own."""

    def __init__(self, browser: Browser, deployed: Deployed) -> None:
        self.address = f"{deployed['api_url']}/"
        self.user: dict[str, str] = deployed["users"]["HA"]
        self.page: Page = browser.new_context(locale="en").new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if "Content Security" in said.text else None)

    def open(self, query: str = "") -> None:
        self.page.goto(self.address + query)

    def begin(self) -> None:
        """Goes to the issuer."""
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(re.compile("/oauth2/authorize"))

    def enter(self, password: str) -> None:
        """Fills in the issuer's form."""
        self.page.locator("input[name=username]").fill(self.user["email"])
        self.page.locator("input[name=password]").fill(password)
        self.page.locator("button[type=submit], input[type=submit]").first.click()

    def sign_in(self, query: str = "") -> None:
        self.open(query)
        self.begin()
        self.enter(self.user["password"])
        expect(self.page.locator("#user")).to_have_text(self.user["email"])

    def session(self, **changes: Any) -> Any:
        """What the page keeps, after these changes."""
        kept = json.loads(self.page.evaluate(f"sessionStorage.getItem('{SESSION}')") or "null")
        if changes:
            self.page.evaluate(
                "([key, text]) => sessionStorage.setItem(key, text)", [SESSION, json.dumps(kept | changes)]
            )
        return kept

    def token(self, **how: bool) -> str:
        """What the page gives its <report-exports> as the token; a text that begins with `Error` without one."""
        ask = "how => document.querySelector('report-exports').getToken(how).catch(error => `Error: ${error.message}`)"
        return str(self.page.evaluate(ask, how))


@pytest.fixture
def visitor(browser: Browser, deployed: Deployed) -> Iterator[Visitor]:
    here = Visitor(browser, deployed)
    yield here
    here.page.context.close()
    assert here.faults == []


def test_a_user_signs_in_and_comes_back_to_the_export_of_the_mail(visitor: Visitor) -> None:
    visitor.sign_in("?export=01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7")
    assert visitor.page.url == f"{visitor.address}?export=01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7"
    exports = visitor.page.locator("report-exports")
    expect(exports).to_have_attribute("api", visitor.address.rstrip("/"))
    expect(exports).to_have_attribute("export", "01a207ad-a9fa-7c3e-9b52-6f0d2a8c41e7")
    with visitor.page.expect_response(lambda answer: answer.url.endswith("/limits")) as limits:
        call = "([url, token]) => fetch(url, {headers: {Authorization: token}}).then(answer => answer.status)"
        assert visitor.page.evaluate(call, [f"{visitor.address}limits", visitor.token()]) == 200
    assert limits.value.status == 200
    visitor.page.reload()
    expect(visitor.page.locator("#user")).to_have_text(visitor.user["email"])


def test_who_wants_a_mail_gets_one_whose_link_opens_the_export(
    visitor: Visitor, browser: Browser, deployed: Deployed
) -> None:
    owner = deployed.caller(visitor.user).owner
    visitor.sign_in()
    visitor.page.get_by_label("Report", exact=True).select_option("Flights")
    visitor.page.get_by_label("From").fill("2013-01-01")
    visitor.page.get_by_label("To", exact=True).fill("2013-01-02")
    visitor.page.get_by_label("Notify me by email").check()
    visitor.page.get_by_role("button", name="Request export").click()
    expect(visitor.page.locator("report-exports").get_by_role("status")).to_have_text("Flights: Ready")
    record = deployed.records(owner)[-1]
    assert record["notify"] == visitor.user["email"]
    newer = deployed.fabricate(owner, "CANCELLED")

    name = f"?export={record['export_id']}"
    mail = until(lambda: next((m for m in deployed.mails(visitor.user["email"]) if name in m["text"]), None), "a mail")
    reader = Visitor(browser, deployed)
    assert deployed["page_url"] + name in mail["text"]  # of a product; the stack's own page takes the same query
    reader.open(name)
    reader.begin()
    reader.enter(reader.user["password"])
    first = reader.page.get_by_role("article").first
    expect(first.get_by_role("heading")).to_be_focused()
    with reader.page.expect_download() as download:
        first.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == record["file_name"]
    reader.page.context.close()
    for export_id in (record["export_id"], newer):
        deployed.forget({"owner": owner, "export_id": export_id})


def test_every_module_has_the_version_of_the_page_and_the_entry_is_not_sent_twice(
    visitor: Visitor, deployed: Deployed
) -> None:
    loaded: list[str] = []
    visitor.page.on("request", lambda request: loaded.append(request.url))
    visitor.open()
    expect(visitor.page.get_by_role("button", name="Sign in")).to_be_visible()
    modules = {re.sub(".*/web/", "", url) for url in loaded if url.partition("?")[0].endswith(".js")}
    [version] = {each.partition("?v=")[2] for each in modules}
    assert {each.partition("?")[0] for each in modules} >= {"page.js", "report-exports.js", "card.js", "texts.js"}

    entry = f"{deployed['api_url']}/web/report-exports.js"
    first = http("GET", entry)
    assert version in first.headers["ETag"]
    again = http("GET", entry, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.content) == (304, b"")


def test_a_wrong_password_stays_at_the_issuer(visitor: Visitor) -> None:
    visitor.open()
    visitor.begin()
    visitor.enter("Wrong-password-1")
    expect(visitor.page.get_by_text("Incorrect username or password")).to_be_visible()
    assert not visitor.page.url.startswith(visitor.address)


def test_a_refused_or_old_token_is_replaced_without_asking_the_user(visitor: Visitor) -> None:
    visitor.sign_in()
    first = visitor.token()
    assert visitor.token() == first
    replaced = visitor.token(anew=True)
    assert replaced == visitor.session()["id_token"]
    visitor.session(ends=0, id_token="old")
    assert visitor.token() not in ("old", "")


def test_an_expired_session_asks_the_user_to_sign_in_again(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.session(ends=0, refresh_token="revoked")
    assert visitor.token() == "Error: Your session has ended. Sign in again."
    expect(visitor.page.get_by_role("status").first).to_have_text("Your session has ended. Sign in again.")
    assert visitor.session() is None
    expect(visitor.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_without_a_network_the_session_stays(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.session(ends=0)
    visitor.page.context.set_offline(True)
    assert visitor.token() == "Error: Failed to fetch"
    visitor.page.context.set_offline(False)
    assert visitor.token().count(".") == 2


def test_a_user_signs_out(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.page.get_by_role("button", name="Sign out").click()
    expect(visitor.page.get_by_role("button", name="Sign in")).to_be_visible()
    visitor.page.wait_for_url(visitor.address)
    assert visitor.session() is None
    expect(visitor.page.locator("report-exports")).to_have_count(0)


@pytest.mark.parametrize("query", ["?code=stolen&state=forged", "?error=access_denied&error_description=Hello&state=x"])
def test_an_answer_that_this_page_did_not_ask_for_is_refused(query: str, visitor: Visitor) -> None:
    visitor.open()
    visitor.begin()  # so that there is a state to compare with
    called: list[str] = []
    visitor.page.on("request", lambda request: called.append(request.url))
    visitor.open(query)
    expect(visitor.page.locator("#notice")).to_contain_text("This sign-in did not begin on this page")
    assert visitor.page.url == visitor.address
    assert not [url for url in called if "oauth2" in url]
    assert visitor.session() is None


def test_what_the_issuer_says_stays_text(visitor: Visitor) -> None:
    visitor.open()
    visitor.begin()
    state = re.search(r"[?&]state=([^&]+)", visitor.page.url)
    assert state
    visitor.open(f"?error=x&error_description=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&state={state[1]}")
    expect(visitor.page.locator("#notice")).to_have_text("The sign-in failed: <img src=x onerror=alert(1)>")
