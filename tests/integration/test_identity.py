"""Who may call: a user of a tenant, with a token of the issuer for our client."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from exports_admin import stack
from tests.integration.api import Answer, Caller, flights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.deployed import Deployed

FLOWS = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]


def refused(caller: Caller) -> list[Answer]:
    """The answers to one call of every kind."""
    export = "/exports/0190a2b4-0000-7000-8000-000000000000"
    paths = ["/exports", "/limits", "/reports", export, f"{export}/file"]
    return [caller.post(flights()), *(caller.get(path) for path in paths)]


def assert_unauthorized(caller: Caller) -> None:
    assert [answer.status for answer in refused(caller)] == [401] * 6


@contextmanager
def _client(deployed: Deployed, pool: str) -> Iterator[str]:
    cognito = deployed.client("cognito-idp")
    made = cognito.create_user_pool_client(UserPoolId=pool, ClientName="test", ExplicitAuthFlows=FLOWS)
    client_id = made["UserPoolClient"]["ClientId"]
    try:
        yield client_id
    finally:
        cognito.delete_user_pool_client(UserPoolId=pool, ClientId=client_id)


def test_no_token_opens_nothing(deployed: Deployed) -> None:
    assert_unauthorized(Caller(deployed["api_url"]))


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "Bearer garbage"])
def test_garbage_opens_nothing(token: str, deployed: Deployed) -> None:
    assert_unauthorized(Caller(deployed["api_url"], token))


def test_a_changed_token_opens_nothing(caller: Caller) -> None:
    header, payload, signature = str(caller.token).split(".")
    assert_unauthorized(Caller(caller.api_url, ".".join((header, payload, signature[::-1]))))


def test_an_access_token_is_not_an_id_token(caller: Caller, deployed: Deployed) -> None:
    user = {"email": caller.email, "password": stack.PASSWORD}
    assert caller.get("/limits").status == 200
    assert_unauthorized(deployed.caller(user, token="AccessToken"))


def test_a_token_of_another_client_of_the_pool_opens_nothing(caller: Caller, deployed: Deployed) -> None:
    user = {"email": caller.email, "password": stack.PASSWORD}
    with _client(deployed, deployed["user_pool_id"]) as client_id:
        other = deployed.caller(user, client_id)
    assert other.owner == caller.owner
    assert_unauthorized(other)


def test_a_token_of_another_pool_opens_nothing(deployed: Deployed) -> None:
    cognito, tenant = (
        deployed.client("cognito-idp"),
        {"Name": "tenant_id", "AttributeDataType": "String", "Mutable": True},
    )
    pool = cognito.create_user_pool(PoolName=f"{deployed.name}-test-{uuid.uuid4().hex[:12]}", Schema=[tenant])[
        "UserPool"
    ]["Id"]
    try:
        with _client(deployed, pool) as client_id:
            description: dict[str, Any] = deployed.description | {"user_pool_id": pool}
            other = deployed.caller(stack.create_user(description, "someone@example.com", "UA"), client_id)
            assert other.tenant == "UA"
            assert_unauthorized(other)
    finally:
        cognito.delete_user_pool(UserPoolId=pool)


@pytest.mark.parametrize("tenant", [None, "UA#x", "../UA", "Ünited"], ids=["none", "a hash", "a path", "an umlaut"])
def test_a_user_without_a_usable_tenant_may_do_nothing(
    tenant: str | None, sign_up: Callable[[str | None], Caller]
) -> None:
    for answer in refused(sign_up(tenant)):
        problem = answer.problem(403, "identity-incomplete")
        assert "custom:tenant_id" in problem["detail"]


def test_the_client_does_not_let_users_write_their_tenant(deployed: Deployed) -> None:
    ids = {"UserPoolId": deployed["user_pool_id"], "ClientId": deployed["user_pool_client_id"]}
    client = deployed.client("cognito-idp").describe_user_pool_client(**ids)["UserPoolClient"]
    assert client["WriteAttributes"], "an empty list leaves everything writable"
    assert "custom:tenant_id" not in client["WriteAttributes"]


def test_a_user_cannot_change_the_own_tenant(
    caller: Caller, deployed: Deployed, not_on_the_emulator: Callable[[str], None]
) -> None:
    not_on_the_emulator("its UpdateUserAttributes ignores the client's WriteAttributes")
    cognito = deployed.client("cognito-idp")
    user = {"email": caller.email, "password": stack.PASSWORD}
    access = deployed.sign_in(user, deployed["user_pool_client_id"])["AccessToken"]
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        cognito.update_user_attributes(AccessToken=access, UserAttributes=[{"Name": "custom:tenant_id", "Value": "UA"}])
    assert deployed.caller(user).tenant == "HA"


def test_only_administrators_create_users(deployed: Deployed) -> None:
    pool = deployed.client("cognito-idp").describe_user_pool(UserPoolId=deployed["user_pool_id"])["UserPool"]
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True


def test_nobody_signs_up_alone(deployed: Deployed, not_on_the_emulator: Callable[[str], None]) -> None:
    not_on_the_emulator("its SignUp ignores AllowAdminCreateUserOnly")
    cognito = deployed.client("cognito-idp")
    tenant = [{"Name": "custom:tenant_id", "Value": "UA"}]
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        cognito.sign_up(
            ClientId=deployed["user_pool_client_id"],
            Username=f"test-{uuid.uuid4().hex}@example.com",
            Password=stack.PASSWORD,
            UserAttributes=tenant,
        )
