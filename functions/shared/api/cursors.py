"""The cursor of a page of exports: where the list goes on, for one caller and one filter (docs/adr/0013-cursors.md).

Base64url (RFC 4648, section 5, no padding) of 32 bytes: the id of the export that was looked at last, shown on the page
or not, then the first half of a SHA-256 of that id, the owner and the filter. It opens nothing, for the list is read
under the caller's own key; the digest is there so that a cursor that was changed, or is of another list, is refused and
not taken for a place in this one.
"""

import base64
import hashlib
import json
import uuid

_BYTES, _DIGEST_BYTES = 32, 16


def write(export_id: str, owner: str, status: str | None) -> str:
    """The cursor after an export of this owner's list, narrowed to a status or not."""
    listed = json.dumps(["exports", owner, status, export_id])
    digest = hashlib.sha256(listed.encode()).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(uuid.UUID(export_id).bytes + digest).decode().rstrip("=")


def read(cursor: str, owner: str, status: str | None) -> str | None:
    """The export after which the list goes on; None when it is no cursor of this owner's list with this status."""
    try:
        content = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
    except ValueError:
        return None
    if len(content) != _BYTES:
        return None
    export_id = str(uuid.UUID(bytes=content[:-_DIGEST_BYTES]))
    return export_id if write(export_id, owner, status) == cursor else None
