"""Who calls: every route identifies its caller before any work, and knows the caller's own exports only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.support import (
    EXPORT_ID,
    OWNER,
    Answer,
    Cloud,
    Frozen,
    event,
    failed,
    file_key,
    number,
    running,
    succeeded,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Api = Callable[[str, Any], Answer]

ROUTES = {
    "request_export/least": "RequestExport",
    "read_exports/list": "ReadExports",
    "read_exports/limits": "ReadExports",
    "read_exports/typical": "ReadExports",
    "read_exports/file": "ReadExports",
    "read_exports/file_as_json": "ReadExports",
    "delete_export/typical": "DeleteExport",
    "retry_export/typical": "RetryExport",
    "list_reports/typical": "ListReports",
}
"""An event of each route that needs a caller, and its function."""
OF_ONE_EXPORT = {case: name for case, name in ROUTES.items() if "{id}" in event(case)["resource"]}
UNAUTHORIZED = (
    *(401, "unauthorized", "Sign in first"),
    "Send a valid token of the deployment's issuer as the Authorization header.",
)
INCOMPLETE = (
    *(403, "identity-incomplete", "The identity is incomplete"),
    "The token's claims custom:tenant_id and sub must name a tenant ([A-Za-z0-9_-]{1,64}) and a user ([ -~]{1,128}).",
)


def sent(case: str, known: dict[str, str], **changes: Any) -> Any:
    """An event of another caller, and with other values where given."""
    given = event(case) | changes
    given["requestContext"]["authorizer"] |= known
    return given


@pytest.mark.parametrize("case", ROUTES)
@pytest.mark.usefixtures("no_aws")
def test_a_caller_without_an_identity_is_refused_before_anything_else(case: str, api: Api) -> None:
    broken: dict[str, Any] = {"body": "{", "queryStringParameters": {"x": "y"}}
    unsigned = event(case) | broken
    del unsigned["requestContext"]["authorizer"]
    for given, problem in (
        (unsigned, UNAUTHORIZED),
        (sent(case, {"expires": "1795424700"}, **broken), UNAUTHORIZED),
        (sent(case, {"tenant": ""}, **broken), INCOMPLETE),
    ):
        answered = api(ROUTES[case], given)
        assert told(answered) == problem
        assert answered.headers.get("WWW-Authenticate") == ("Bearer" if answered.status == 401 else None)


@pytest.mark.parametrize(
    ("case", "record"),
    [
        ("read_exports/typical", succeeded()),
        ("read_exports/file", succeeded()),
        ("read_exports/file_as_json", succeeded()),
        ("delete_export/typical", running()),
        ("delete_export/typical", succeeded()),
        ("retry_export/typical", failed()),
    ],
)
def test_an_export_of_another_owner_does_not_exist(
    case: str, record: dict[str, Any], cloud: Cloud, api: Api, time: Frozen
) -> None:
    cloud.write(record)
    cloud.start(record)
    cloud.put(file_key(), "a file")
    # Another user, another tenant, and a tenant whose name begins alike.
    for known in ({"user": "someone-else"}, {"tenant": "DL"}, {"tenant": "U"}):
        answered = api(ROUTES[case], sent(case, known))
        assert told(answered) == (404, "no-such-export", "There is no such export", "You have no export with this id.")
        assert answered == api(ROUTES[case], sent(case, {}, pathParameters={"id": number(1)}))
        assert EXPORT_ID not in json.dumps(answered.body)
    assert cloud.items() == [record]
    assert list(cloud.stands().values()) == ["RUNNING"]
    assert cloud.keys() == [file_key()]


@pytest.mark.parametrize(
    "export_id",
    [
        "",
        "x",
        EXPORT_ID.upper(),
        EXPORT_ID + "\n",
        EXPORT_ID + "/",
        EXPORT_ID.replace("-", ""),
        EXPORT_ID.replace("-7c3e", "-4c3e"),
        "key#" + "0" * 64,
        "../" + EXPORT_ID,
        "٠" + EXPORT_ID[1:],
    ],
)
@pytest.mark.usefixtures("no_aws")
def test_an_id_that_is_not_valid_is_404_and_is_not_looked_up(export_id: str, api: Api) -> None:
    for case, name in OF_ONE_EXPORT.items():
        assert told(api(name, sent(case, {}, pathParameters={"id": export_id})))[:2] == (404, "no-such-export")


def test_the_list_and_the_limits_count_only_the_callers_own_exports(cloud: Cloud, api: Api, time: Frozen) -> None:
    others = [f"{OWNER}x", "UA#someone-else", "DL#x"]
    cloud.write(*(running(number(index), owner=owner, active_owner=owner) for index, owner in enumerate(others)))
    cloud.write(running())
    assert [each["id"] for each in api("ReadExports", event("read_exports/list")).body["exports"]] == [EXPORT_ID]
    assert api("ReadExports", event("read_exports/limits")).body["active_exports"]["used"] == 1
