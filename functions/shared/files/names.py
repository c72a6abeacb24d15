"""What a file is called when it is downloaded: the name that a request chose, or one of report and date.

A name must be a file's name on every system that may save it ("Naming Files, Paths, and Namespaces" of Microsoft, the
portable file names of POSIX), and stand in a ``Content-Disposition`` (RFC 6266, RFC 8187). It is no part of the bytes.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from urllib.parse import quote

from shared.lambda_.faults import Fault

MOST_BYTES = 200
"""Of a name, in UTF-8. File systems take 255; programs that download put some of their own to it."""
# What Windows or a path forbids, controls, and what turns the direction of text so that a name looks like another.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]')
_END = 20
"""Characters at the end of a name that hold its ending, whatever the format."""
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3])", re.IGNORECASE)
# RFC 8187, attr-char: what stands as it is in an extended value.
_ATTR_CHARS = "!#$&+-.^_`|~"


def default(report: str, created: datetime.datetime, export_id: str, extension: str) -> str:
    """The name where a request chooses none. It tells neither tenant nor user: files are passed on."""
    return f"{report}-{created:%Y%m%d}-{export_id[-8:]}.{extension}"


def chosen(asked: str, extension: str) -> str:
    """The name of a file for which a request asked for this name, which has no :func:`faults`."""
    return f"{_stem(asked, extension)}.{extension}"


def faults(asked: str | None, extension: str) -> list[Fault]:
    """Why a name cannot be a file's, though it be cleaned; the pointer starts at the options' own root."""
    if asked is None:
        return []
    if not _stem(asked, extension):
        detail = "leaves no name without dots, spaces and the format's ending"
        return [Fault(pointer="/file_name", detail=detail, allowed="a name such as orders-june")]
    if (size := len(chosen(asked, extension).encode())) > MOST_BYTES:
        detail = f"gives a name of {size} bytes in UTF-8, its ending .{extension} included"
        return [Fault(pointer="/file_name", detail=detail, allowed=f"at most {MOST_BYTES} bytes")]
    return []


def plain(name: str) -> str:
    """The name in ASCII, for keys of objects and for programs that know no other; at most :data:`MOST_BYTES` long."""
    letters = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    # Of the rest % is taken for an escape by some (RFC 6266, appendix D).
    text = _allowed(re.sub("[^ -~]|%", "_", _FORBIDDEN.sub("_", letters)).lstrip(". "))
    # One character may become eighteen: the middle goes, the ending stays.
    return text if len(text) <= MOST_BYTES else text[: MOST_BYTES - _END] + text[-_END:]


def content_disposition(name: str) -> str:
    """The header that has a browser save a file by this name (RFC 6266, section 5)."""
    header = f'attachment; filename="{plain(name)}"'
    if plain(name) == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _stem(asked: str, extension: str) -> str:
    """The name without the ending: the file gets it again, and it is not there twice."""
    stem = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", asked)).strip()
    endings, before = [f".{each}" for each in (extension, *extension.split("."))], ""
    while stem != before:
        before = stem
        for ending in endings:
            if stem.lower().endswith(ending):
                stem = stem[: -len(ending)]
        # Windows drops dots and spaces at the end; a dot at the start hides a file.
        stem = re.sub(r"^[.\s]+|[.\s]+$", "", stem)
    return _allowed(stem)


def _allowed(name: str) -> str:
    return f"_{name}" if _RESERVED.fullmatch(name.partition(".")[0].rstrip()) else name
