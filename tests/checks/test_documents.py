"""A document that is not as the code says, and a gateway that answers besides the catalogue, are found."""

from pathlib import Path

import pytest

import generated
from checks import documents as check
from checks.repository import ROOT, Document
from generated import openapi
from generated.openapi import Route

ROUTES = openapi.routes()
TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")


def test_a_document_that_is_outdated_is_found_and_generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    monkeypatch.setattr(generated, "DOCUMENTS", {name: lambda: "as the code says" for name in ("a.md", "b.md", "c.md")})
    for name, text in (("a.md", "as the code says"), ("b.md", "otherwise")):
        (tmp_path / name).write_text(text)
    assert [str(fault) for fault in check.faults()] == [
        f"{name}:1: the document: is not up to date with the code. Run make docs." for name in ("b.md", "c.md")
    ]
    assert generated.write() == ["b.md", "c.md"]
    assert check.faults() == []


@pytest.mark.parametrize(
    "routes",
    [
        [route for route in ROUTES if route.path != "/openapi.json"],
        [*ROUTES, Route("GET", "/history", "ShowHistory", "")],
    ],
)
def test_a_route_without_a_description_and_a_description_without_a_route_are_named(
    routes: list[Route], monkeypatch: pytest.MonkeyPatch
) -> None:
    (named,) = set(ROUTES) ^ set(routes)
    monkeypatch.setattr(generated.openapi, "routes", lambda: routes)
    (fault,) = check.faults()
    assert fault.file == "generated/operations.yaml"
    assert f"{named.method} {named.path}" in fault.wrong


THROTTLED = "urn:report-exports:problem:too-many-requests"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("        THROTTLED:\n", "        QUOTA_EXCEEDED:\n", "Api: THROTTLED answers in AWS's own format"),
        (f'"{THROTTLED}"', '"about:blank"', "Api THROTTLED: has the type 'about:blank'"),
        (f'{{"type": "{THROTTLED}"', f'"type": "{THROTTLED}"', "Api THROTTLED: has a body that is not JSON"),
        ('"Too many requests", "status"', '"Slow down", "status"', "Api THROTTLED: has the title 'Slow down'"),
        (
            '"Too many requests", "status": 429',
            '"Too many requests", "status": 420',
            "Api THROTTLED: has the status 420",
        ),
        ("          StatusCode: 429\n", "", "Api THROTTLED: has the StatusCode None"),
        ("Retry-After: \"'1'\"", "Retry-After: \"'2'\"", "Api THROTTLED: has the header Retry-After \"'2'\""),
        (
            "WWW-Authenticate: \"'Bearer'\"",
            "X-Hint: \"'Bearer'\"",
            "Api UNAUTHORIZED: has the header WWW-Authenticate None",
        ),
    ],
)
def test_a_gateway_response_besides_the_catalogue_is_named(old: str, new: str, said: str) -> None:
    assert TEMPLATE.count(old) == 1
    (fault,) = check.gateway_faults(Document(TEMPLATE.replace(old, new), "template.yaml"))
    assert said in str(fault)
    assert fault.line > 1


def test_a_gateway_response_that_no_page_can_read_is_named() -> None:
    allowed = "              Access-Control-Allow-Origin: !Sub \"'${AllowedOrigin}'\"\n"
    found = check.gateway_faults(Document(TEMPLATE.replace(allowed, ""), "template.yaml"))
    assert len(found) == TEMPLATE.count(allowed) == 6
    assert all("cannot be read by web pages of other origins" in fault.wrong for fault in found)
