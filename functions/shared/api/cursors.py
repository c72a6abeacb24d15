"""The cursor of a list of exports: where the next page starts, for one caller and filter (docs/adr/0013-cursors.md).

Base64url (RFC 4648, section 5, no padding) of 32 bytes: the id of the last export that was examined, whether the page
shows it or not, then the first half of the SHA-256 of that id, the owner and the filter. A cursor grants no access,
because the list is read under the caller's own key. The digest detects a cursor that was changed or belongs to another
list.
"""

import base64
import hashlib
import json
import uuid

_BYTES, _DIGEST_BYTES = 32, 16


def write(export_id: str, owner: str, status: str | None) -> str:
    """The cursor after an export in this owner's list, which may be filtered by a status."""
    listed = json.dumps(["exports", owner, status, export_id])
    digest = hashlib.sha256(listed.encode()).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(uuid.UUID(export_id).bytes + digest).decode().rstrip("=")


def read(cursor: str, owner: str, status: str | None) -> str | None:
    """The id of the export before the next page; None when the cursor does not belong to this owner and status."""
    try:
        content = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
    except ValueError:
        return None
    if len(content) != _BYTES:
        return None
    export_id = str(uuid.UUID(bytes=content[:-_DIGEST_BYTES]))
    return export_id if write(export_id, owner, status) == cursor else None
