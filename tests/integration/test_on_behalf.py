"""A backend calls on behalf of a user, with AWS Signature Version 4 and a policy that pins the tenants."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.integration.api import TERMINAL, Answer, flights, http
from tests.integration.deployed import until
from tests.support.description import breaches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.deployed import Deployed

    Call = Callable[..., Answer]

TENANT, USER = "HA", "auth0|7b"
FOR_TENANT = [f"/v1/{method}/on-behalf/{TENANT}/*" for method in ("GET", "POST", "DELETE")]


class Backend:
    """An IAM user who may call these routes."""

    def __init__(self, deployed: Deployed, routes: list[str]) -> None:
        self.deployed, self._iam, self._name = deployed, deployed.client("iam"), f"{deployed.name}-{uuid.uuid4().hex}"
        region, account = deployed["state_machine_arn"].split(":")[3:5]
        api = deployed["api_url"].rpartition("/v1")[0].rpartition("/")[2].partition(".")[0]
        allowed = {
            "Effect": "Allow",
            "Action": "execute-api:Invoke",
            "Resource": [f"arn:aws:execute-api:{region}:{account}:{api}{route}" for route in routes],
        }
        self.arn = self._iam.create_user(UserName=self._name)["User"]["Arn"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._iam.put_user_policy(UserName=self._name, PolicyName="it", PolicyDocument=policy)
        self._key = self._iam.create_access_key(UserName=self._name)["AccessKey"]
        self._region = region

    def call(self, method: str, where: str, body: Any = None, secret: str | None = None) -> Answer:
        """Calls a path of the API, or an absolute link."""
        url = where if where.startswith("http") else self.deployed["api_url"] + where
        content = json.dumps(body).encode() if body else None
        request = AWSRequest(method, url, data=content)
        key = Credentials(self._key["AccessKeyId"], secret or self._key["SecretAccessKey"])
        SigV4Auth(key, "execute-api", self._region).add_auth(request)
        answer = http(method, url, content, dict(request.headers))
        path = url.removeprefix(self.deployed["api_url"]).partition("?")[0]
        if answer.status != 403 or not self.deployed.emulated:  # the emulator answers a denial in AWS's own format
            assert breaches(method, path, answer.status, answer.headers, answer.content) == []
        return answer

    def remove(self) -> None:
        """Removes the user."""
        self._iam.delete_access_key(UserName=self._name, AccessKeyId=self._key["AccessKeyId"])
        self._iam.delete_user_policy(UserName=self._name, PolicyName="it")
        self._iam.delete_user(UserName=self._name)


@pytest.fixture(scope="module")
def backend(deployed: Deployed) -> Iterator[Backend]:
    made = Backend(deployed, FOR_TENANT)
    yield made
    made.remove()


def path(rest: str, tenant: str = TENANT, user: str = USER) -> str:
    return f"/on-behalf/{tenant}/{quote(user, safe='')}{rest}"


def test_a_backend_requests_follows_and_removes_an_export_of_a_user(backend: Backend, deployed: Deployed) -> None:
    user = f"auth0|{uuid.uuid4().hex}"
    accepted = backend.call("POST", path("/exports", user=user), flights(last="2013-01-02"))
    assert accepted.status == 202, accepted
    here = accepted.json["links"]["self"]
    assert here.endswith(path(f"/exports/{accepted.json['id']}", user=user))
    [record] = deployed.records(f"{TENANT}#{user.replace('|', '=7C')}")
    assert record["requested_by"] == backend.arn
    assert backend.call("GET", path("/limits", user=user)).json["active_exports"]["limit"] > 0
    listed = backend.call("GET", path("/exports", user=user)).json["exports"]
    assert [each["id"] for each in listed] == [record["export_id"]]
    assert backend.call("GET", path("/reports", user=user)).status == 200
    until(lambda: backend.call("GET", here).json["status"] in TERMINAL, "the export to end")
    ended = backend.call("GET", here)
    assert ended.json["status"] == "SUCCEEDED"
    assert b",HA," in http("GET", backend.call("GET", ended.json["links"]["file"]).headers["Location"]).content
    assert backend.call("POST", f"{here}/retry").problem(409, "not-retryable")
    assert backend.call("DELETE", here).status == 204


def test_a_policy_may_pin_the_tenant(backend: Backend) -> None:
    for refused in (path("/exports", tenant="UA"), path("/limits", tenant="UA")):
        assert backend.call("GET", refused).status == 403
    for outside in ("/exports", "/limits"):  # a signature opens no route of users
        assert backend.call("GET", outside).status in (401, 403)


def test_a_signature_that_is_wrong_or_missing_opens_nothing(backend: Backend, deployed: Deployed) -> None:
    assert backend.call("GET", path("/limits"), secret="another").status == 403
    assert http("GET", deployed["api_url"] + path("/limits")).status in (403, 404)


def test_a_user_with_a_token_does_not_get_in(caller: Any, deployed: Deployed) -> None:
    headers = {"Authorization": f"Bearer {caller.token}"}
    assert http("GET", deployed["api_url"] + path("/limits"), headers=headers).status == 403


@pytest.mark.parametrize("user", ["é", "a" * 129])
def test_a_user_that_is_not_valid_is_refused(user: str, backend: Backend) -> None:
    backend.call("GET", path("/limits", user=user)).problem(403, "identity-incomplete")
