"""A document that is not as the code says, and a gateway that answers besides the catalogue, are found."""

from collections.abc import Callable
from pathlib import Path

import pytest

import generated
from checks import documents as check
from checks.repository import ROOT, Document

TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")


def test_the_documents_of_this_project_are_as_the_code_says() -> None:
    assert check.faults() == []


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the documents are now read and written."""
    for name in generated.DOCUMENTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("# Problems\n")], ids=["gone", "changed"])
@pytest.mark.parametrize("name", generated.DOCUMENTS)
def test_a_document_that_is_outdated_is_found_and_made_anew(
    name: str, change: Callable[[Path], object], copies: Path
) -> None:
    assert generated.outdated() == []
    change(copies / name)
    assert [str(fault) for fault in check.faults()] == [
        f"{name}:1: the document: is not up to date with the code. Run make docs."
    ]
    assert generated.write() == [name]
    assert check.faults() == []


def test_a_route_that_nobody_described_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = generated.openapi.routes()
    monkeypatch.setattr(generated.openapi, "routes", lambda: known[1:])
    (fault,) = check.faults()
    assert fault.file == "generated/operations.yaml"
    assert f"{known[0].method} {known[0].path}" in fault.wrong


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
    assert len(found) == TEMPLATE.count(allowed) == 4
    assert all("cannot be read by web pages of other origins" in fault.wrong for fault in found)
