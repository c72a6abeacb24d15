"""GET / and GET /web/{file}: the page and its parts, for everybody, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from shared.api import problems
from shared.api.explanations import EXPLANATIONS, WARNINGS
from tests.unit.support import WEB, Answer, answer, event, kind, template

if TYPE_CHECKING:
    from collections.abc import Callable

    Api = Callable[[str, Any], Answer]

pytestmark = pytest.mark.usefixtures("no_aws")
HERE = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1"
POOL = "https://cognito-idp.eu-west-1.amazonaws.com"
DOMAIN = "https://example-exports.auth.eu-west-1.amazoncognito.com"


@pytest.fixture
def page(api: Api) -> Answer:
    """The page, as the typical caller gets it."""
    return api("ShowPage", event("show_page/typical"))


def part(name: str, **query: str) -> Any:
    """A request for a part of the page."""
    given = event("show_page/module")
    return given | {"pathParameters": {"file": name}, "queryStringParameters": query or None}


def rules(answered: Answer) -> dict[str, str]:
    """The Content-Security-Policy, by directive."""
    policy = answered.headers["Content-Security-Policy"]
    return dict(each.split(" ", 1) for each in policy.split("; "))


@pytest.fixture
def sign_in(handler: Callable[[str], Any], configure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What config.json says about the sign-in of a deployment with these variables."""

    def sign_in(client: str | None = None, **variables: str) -> Any:
        configure("ShowPage")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        variable = {"PageClientId": client} if client else None
        return answer(handler("ShowPage")(event("show_page/config") | {"stageVariables": variable})).body["sign_in"]

    return sign_in


def test_the_page_names_its_parts_by_absolute_addresses_however_it_was_reached(page: Answer, api: Api) -> None:
    named = re.findall(r'(?:href|src)="(http[^"]+)"', page.body)
    assert [re.sub(r"\?v=[0-9a-f]{12}$", "", each) for each in named] == [
        f"{HERE}/web/page.css",
        f"{HERE}/web/report-exports.js",
        f"{HERE}/web/page.js",
    ]
    assert api("ShowPage", event("show_page/without_slash")).body == page.body
    at_a_domain = event("show_page/typical")
    at_a_domain["requestContext"] |= {"domainName": "exports.example.com", "path": "/"}
    assert 'src="https://exports.example.com/web/page.js?' in api("ShowPage", at_a_domain).body


def test_the_page_may_load_its_own_parts_and_call_its_issuer_and_nothing_else(page: Answer) -> None:
    assert rules(page) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "data:",
        "connect-src": f"'self' {POOL} {DOMAIN}",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page.body)


def test_the_page_is_asked_for_anew_and_tells_nobody_its_address(page: Answer) -> None:
    names = ("Content-Type", "Cache-Control", "X-Content-Type-Options", "Referrer-Policy")
    assert [page.headers[name] for name in names] == ["text/html; charset=utf-8", "no-cache", "nosniff", "no-referrer"]


def test_a_name_in_the_address_cannot_break_out_of_the_page(api: Api) -> None:
    given = event("show_page/typical")
    given["requestContext"]["domainName"] = '"><script>alert(1)</script>'
    assert "<script>" not in api("ShowPage", given).body


def test_every_page_may_use_a_part_and_keeps_it_only_under_the_address_of_this_release(page: Answer, api: Api) -> None:
    [version] = set(re.findall(r"\?v=([0-9a-f]{12})", page.body))
    for query, kept in (
        ({"v": version}, "public, max-age=31536000, immutable"),
        ({"v": "0123456789ab"}, "no-cache"),
        ({}, "no-cache"),
    ):
        answered = api("ShowPage", part("page.js", **query))
        assert answered.body == (WEB / "page.js").read_text("utf-8")
        assert (answered.headers["Cache-Control"], answered.headers["Access-Control-Allow-Origin"]) == (kept, "*")
    assert api("ShowPage", part("page.css")).headers["Content-Type"] == "text/css; charset=utf-8"


def test_a_module_imports_others_of_the_same_release_only(page: Answer, api: Api) -> None:
    [version] = set(re.findall(r"\?v=([0-9a-f]{12})", page.body))
    for file in WEB.glob("*.js"):
        code = file.read_text("utf-8")
        imported = re.findall(r'(?:from |import\()"([^"]+)"', code)
        served = api("ShowPage", part(file.name)).body
        assert re.findall(r'(?:from |import\()"([^"]+)"', served) == [f"{each}?v={version}" for each in imported]
        assert served.replace(f"?v={version}", "") == code


def test_a_part_that_a_browser_has_is_not_sent_again_until_the_next_release(api: Api) -> None:
    first = api("ShowPage", part("card.js"))
    again = part("card.js")
    again["headers"] |= {"If-None-Match": first.headers["ETag"]}
    answered = api("ShowPage", again)
    assert (answered.status, answered.body) == (304, None)
    for name in ("ETag", "Cache-Control", "Content-Type", "Access-Control-Allow-Origin"):
        assert answered.headers[name] == first.headers[name]
    again["headers"] |= {"If-None-Match": 'W/"0123456789ab"'}
    assert api("ShowPage", again).status == 200


@pytest.mark.parametrize("name", ["%20", "none.js", "index.html", "../app.py", "..%2Fapp.py", "page.js/", "PAGE.JS"])
def test_there_is_no_other_part(name: str, api: Api) -> None:
    answered = api("ShowPage", part(name))
    assert (answered.status, kind(answered)) == (404, "no-such-resource")


def test_without_a_client_the_page_cannot_sign_in_and_calls_nobody(sign_in: Any, page: Answer, api: Api) -> None:
    assert sign_in() is None
    assert rules(api("ShowPage", event("show_page/typical") | {"stageVariables": None}))["connect-src"] == "'self'"


def test_a_user_pool_gets_its_id_tokens_also_by_a_client_of_its_own(sign_in: Any) -> None:
    expected = {"token": "id_token", "audience": None, "provider": "cognito", "scope": "openid email"}
    for client, found in {"stacks": sign_in("stacks"), "mine": sign_in(CLIENT_ID="mine")}.items():
        assert {name: found[name] for name in expected} == expected
        assert found["client_id"] == client


@pytest.mark.parametrize(
    ("audiences", "token", "audience"),
    [("page, other", "id_token", None), ("https://api, other", "access_token", "https://api")],
)
def test_another_issuers_id_token_goes_to_an_api_that_accepts_the_client_and_else_an_access_token(
    audiences: str, token: str, audience: str | None, sign_in: Any
) -> None:
    found = sign_in(CLIENT_ID="page", ISSUER="https://id.example.com/", OIDC_AUDIENCE=audiences, POOL_DOMAIN="")
    assert found == {
        "issuer": "https://id.example.com/",
        "client_id": "page",
        "scope": "openid email",
        "token": token,
        "audience": audience,
        "provider": "other",
    }


def test_the_web_folder_has_nothing_inline() -> None:
    for file in (each for each in WEB.iterdir() if each.suffix in {".js", ".css", ".html"}):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", file.read_text("utf-8"))


def test_the_role_can_write_logs_and_traces_only() -> None:
    [policy] = template()["Resources"]["ShowPageRole"]["Properties"]["Policies"]
    assert [each["Sid"] for each in policy["PolicyDocument"]["Statement"]] == ["WriteLogs", "WriteTraces"]


def test_german_explains_each_failure_and_each_problem_whose_title_alone_says_enough() -> None:
    german = (WEB / "texts-de.js").read_text("utf-8")

    def names(group: str) -> set[str]:
        (block,) = re.findall(rf"^  {group}: {{\n(.*?)^  }},", german, re.MULTILINE | re.DOTALL)
        return {each.strip('"') for each in re.findall(r'^    ("?[\w.-]+"?):', block, re.MULTILINE)}

    assert names("failures") == {*EXPLANATIONS, *WARNINGS}
    in_english = {"identity-incomplete", "no-such-resource", "refused"}  # their detail says what to do
    assert names("problems") == {each.name for each in problems.CATALOGUE} - in_english
