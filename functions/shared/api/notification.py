"""``options.notify``: a mail to whoever asked for an export, once it has ended.

Every format has the option, and no file depends on it: it is no part of the plan. The address is the caller's own, the
verified ``email`` of the ID token; it stands in the record and nowhere else.
"""

from __future__ import annotations

import os
from typing import Any

from shared.lambda_.faults import Fault


def is_offered() -> bool:
    """Whether this deployment sends mail (SenderEmail)."""
    return os.environ["CAN_NOTIFY"] == "true"


def is_wanted(options: dict[str, Any]) -> bool:
    """Whether a request's options, which are valid, ask for a mail."""
    return bool(options.get("notify", False))


def faults(options: dict[str, Any], email: str | None) -> list[Fault]:
    """Why nobody can be mailed although the options ask for it; the pointer starts at the options' own root.

    Args:
        options: of a request, valid by their schema.
        email: the caller's verified address, None where there is none.
    """
    if not is_wanted(options) or (is_offered() and email):
        return []
    if not is_offered():
        return [Fault(pointer="/notify", detail="this deployment sends no mail", allowed="false")]
    detail = "the ID token holds no verified e-mail address"
    allowed = "false, or true with the claims email, an ASCII address, and email_verified, true"
    return [Fault(pointer="/notify", detail=detail, allowed=allowed)]
