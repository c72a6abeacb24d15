"""The name of a downloaded file: the name in the request, or a default of report and date.

A name must be valid on every system that may save it ("Naming Files, Paths, and Namespaces" of Microsoft, the portable
file names of POSIX) and in a ``Content-Disposition`` header (RFC 6266, RFC 8187). The file's bytes do not depend on it.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from urllib.parse import quote

from shared.lambda_.faults import Fault

MOST_BYTES = 200
"""Maximum length of a name, in UTF-8. File systems allow 255 bytes, and download programs add some of their own."""
# Forbidden by Windows or in a path, control characters, and characters that change the direction of text.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]')
_END = 20
"""Characters at the end of a name that contain its extension in every format."""
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3])", re.IGNORECASE)
# RFC 8187, attr-char: characters that are not encoded in an extended value.
_ATTR_CHARS = "!#$&+-.^_`|~"


def default(report: str, created: datetime.datetime, export_id: str, extension: str) -> str:
    """The default name. It shows neither tenant nor user, because users pass files on."""
    return f"{report}-{created:%Y%m%d}-{export_id[-8:]}.{extension}"


def chosen(requested: str, extension: str) -> str:
    """The file name for a requested name that has no :func:`faults`."""
    return f"{_stem(requested, extension)}.{extension}"


def faults(requested: str | None, extension: str) -> list[Fault]:
    """The faults of a requested name that remain after cleaning it. Pointers start at the options' root."""
    if requested is None:
        return []
    if not _stem(requested, extension):
        detail = "is empty without dots, spaces and the format's extension"
        return [Fault(pointer="/file_name", detail=detail, allowed="a name such as orders-june")]
    if (size := len(chosen(requested, extension).encode())) > MOST_BYTES:
        detail = f"has {size} bytes in UTF-8, including the extension .{extension}"
        return [Fault(pointer="/file_name", detail=detail, allowed=f"at most {MOST_BYTES} bytes")]
    return []


def plain(name: str) -> str:
    """The name in ASCII, for object keys and for programs that support only ASCII; at most :data:`MOST_BYTES` long."""
    letters = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    # % is replaced too, because some programs read it as an escape (RFC 6266, appendix D).
    text = _allowed(re.sub("[^ -~]|%", "_", _FORBIDDEN.sub("_", letters)).lstrip(". "))
    # One character may become eighteen. A long name loses its middle and keeps its extension.
    return text if len(text) <= MOST_BYTES else text[: MOST_BYTES - _END] + text[-_END:]


def content_disposition(name: str) -> str:
    """The header that makes a browser save a file under this name (RFC 6266, section 5)."""
    header = f'attachment; filename="{plain(name)}"'
    if plain(name) == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _stem(requested: str, extension: str) -> str:
    """The name without its extension, which the file gets again."""
    stem = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", requested)).strip()
    endings, previous = [f".{each}" for each in (extension, *extension.split("."))], ""
    while stem != previous:
        previous = stem
        for ending in endings:
            if stem.lower().endswith(ending):
                stem = stem[: -len(ending)]
        # Windows removes dots and spaces at the end; a dot at the start hides a file.
        stem = re.sub(r"^[.\s]+|[.\s]+$", "", stem)
    return _allowed(stem)


def _allowed(name: str) -> str:
    return f"_{name}" if _RESERVED.fullmatch(name.partition(".")[0].rstrip()) else name
