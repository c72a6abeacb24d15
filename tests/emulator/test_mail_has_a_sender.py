"""A role may send mail as the one that its policy names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Cloud

SENDER = "reports@example.com"
IDENTITY = f"arn:aws:ses:us-east-1:000000000000:identity/{SENDER}"
ONLY_AS_SENDER = {
    "Effect": "Allow",
    "Action": "ses:SendEmail",
    "Resource": IDENTITY,
    "Condition": {"StringEquals": {"ses:FromAddress": SENDER}},
}


def send(cloud: Cloud, statement: dict[str, Any], sender: str = SENDER) -> str:
    """Sends a mail in the name of a role with this statement; the message's id."""
    admin = cloud.client("sesv2")
    for identity in (SENDER, "someone@example.com"):
        admin.create_email_identity(EmailIdentity=identity)
    part = {"Data": "text"}
    answer = cloud.as_role("sesv2", [statement]).send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": ["ann@example.com"]},
        Content={"Simple": {"Subject": part, "Body": {"Text": part}}},
    )
    return str(answer["MessageId"])


def test_stock_lets_a_role_that_names_the_sender_send_nothing(stock: Cloud) -> None:
    with pytest.raises(ClientError, match="ses:SendEmail"):
        send(stock, ONLY_AS_SENDER)


def test_the_role_may_send_as_the_sender(patched: Cloud) -> None:
    assert send(patched, ONLY_AS_SENDER)


@pytest.mark.parametrize(
    ("statement", "sender"),
    [
        (ONLY_AS_SENDER, "someone@example.com"),
        (ONLY_AS_SENDER | {"Resource": IDENTITY.replace("reports", "someone")}, SENDER),
        (ONLY_AS_SENDER | {"Condition": {"StringEquals": {"ses:FromAddress": "someone@example.com"}}}, SENDER),
        (ONLY_AS_SENDER | {"Action": "ses:SendRawEmail"}, SENDER),
    ],
    ids=["as another", "another identity", "another address", "another action"],
)
def test_it_may_do_nothing_else(patched: Cloud, statement: dict[str, Any], sender: str) -> None:
    with pytest.raises(ClientError, match="is not authorized to perform: ses:SendEmail on resource"):
        send(patched, statement, sender)
