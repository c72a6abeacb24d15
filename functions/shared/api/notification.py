"""``options.notify``: a mail to the caller when the export has ended.

Every format has the option. It does not change the file, so it is not part of the plan. The address is the verified
``email`` of the caller's ID token. It is stored in the record and nowhere else.
"""

from __future__ import annotations

import os
from typing import Any

from shared.lambda_.faults import Fault


def is_offered() -> bool:
    """Whether this deployment sends mail (SenderEmail)."""
    return os.environ["CAN_NOTIFY"] == "true"


def is_wanted(options: dict[str, Any]) -> bool:
    """Whether the valid options of a request ask for a mail."""
    return bool(options.get("notify", False))


def faults(options: dict[str, Any], email: str | None) -> list[Fault]:
    """Why the requested mail cannot be sent; the pointer is relative to the options.

    Args:
        options: of a request, valid under their schema.
        email: the caller's verified address, or None.
    """
    if not is_wanted(options) or (is_offered() and email):
        return []
    if not is_offered():
        return [Fault(pointer="/notify", detail="this deployment does not send mail", allowed="false")]
    detail = "the caller has no verified e-mail address"
    allowed = "false; or true if the token has the claims email (an ASCII address) and email_verified (true)"
    return [Fault(pointer="/notify", detail=detail, allowed=allowed)]
