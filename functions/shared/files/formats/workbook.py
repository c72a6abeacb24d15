"""The content of a spreadsheet file besides its rows: ECMA-376, parts 1 (SpreadsheetML) and 2 (packages)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

GENERAL, DATE, TIMESTAMP, TIME, HEADER, TIMESTAMP_MS, TIME_MS, WRAPPED, _DECIMAL = range(9)
"""Numbers of the cell styles. The styles of decimals follow, one for each scale, then those of the report's columns."""
_SCALES = 16
_OWN = _DECIMAL + _SCALES
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_FIRST_OWN_FORMAT = 164  # smaller numbers are built in (part 1, 18.8.30)
_FORMATS = {
    DATE: "yyyy-mm-dd",
    TIMESTAMP: "yyyy-mm-dd hh:mm:ss",
    TIME: "hh:mm:ss",
    # A spreadsheet rounds digits that it does not show: the last moment of a day would become the first of the next.
    TIMESTAMP_MS: "yyyy-mm-dd hh:mm:ss.000",
    TIME_MS: "hh:mm:ss.000",
}
# Currencies whose minor unit in ISO 4217 does not have two digits, by its number of digits.
_MINOR_UNITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_MAX_NAME = 31
_NOT_IN_NAMES = str.maketrans(dict.fromkeys("\\/?*[]:", " "))
# Characters that XML 1.0 forbids (2.2), and the return that readers turn into a line feed (2.11). Their form in
# ECMA-376 (22.9.2.19) follows.
FORBIDDEN = [chr(code) for code in range(32) if code not in (9, 10)] + ["\ufffe", "\uffff"]
WRITTEN = [f"_x{ord(each):04X}_" for each in FORBIDDEN]
LOOKS_WRITTEN = "_(x[0-9A-Fa-f]{4})"
"""Text that looks like such a form. Its underscore is always written as ``_x005F_``, because an underscore after the
text may begin another form."""


def decimal_style(scale: int) -> int:
    """The style of decimals with this scale: thousands separators, all digits shown."""
    return _DECIMAL + scale if scale < _SCALES else GENERAL


def own_styles(columns: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The styles of the columns with a ``format`` in the report, by name. Every worker computes the same styles."""
    codes = _own_codes(columns)
    return {each["name"]: _OWN + codes.index(_code(each["format"])) for each in columns if "format" in each}


def sheet_start(titles: Sequence[str], widths: Sequence[int]) -> bytes:
    """The beginning of a sheet, with its header row in bold and frozen.

    Args:
        titles: titles of the columns.
        widths: widths of the columns, in characters.
    """
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
        for number, width in enumerate(widths, start=1)
    )
    cells = "".join(
        f'<c r="{column_name(number)}1" s="{HEADER}" t="inlineStr">'
        f'<is><t xml:space="preserve">{_text(title)}</t></is></c>'
        for number, title in enumerate(titles)
    )
    pane = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    return (
        f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">{pane}</sheetView>'
        f'</sheetViews><cols>{columns}</cols><sheetData><row r="1">{cells}</row>'
    ).encode()


def _text(text: str) -> str:
    """A text, escaped for a cell."""
    written = re.sub(LOOKS_WRITTEN, r"_x005F_\1", text)
    return escape(written).translate({ord(each): code for each, code in zip(FORBIDDEN, WRITTEN, strict=True)})


def column_name(number: int) -> str:
    """The name of a column with a number from 0: A to Z, AA, and so on."""
    before, last = divmod(number, 26)
    return (column_name(before - 1) if before else "") + chr(ord("A") + last)


def sheet_end(columns: int, rows: int) -> bytes:
    """The end of a sheet after its rows, with filters for its columns.

    Args:
        rows: number of the sheet's rows, including its header.
    """
    return f'</sheetData><autoFilter ref="A1:{column_name(columns - 1)}{rows}"/></worksheet>'.encode()


def sheet_path(number: int) -> str:
    """Path of sheet 1, 2, … in the archive."""
    return f"xl/worksheets/sheet{number}.xml"


def others(title: str, columns: Sequence[dict[str, Any]], heights: Sequence[int]) -> dict[str, bytes]:
    """All files of the archive except the sheets, by path.

    Args:
        title: title of the report.
        columns: columns of the report.
        heights: number of rows of each sheet, including its header.
    """
    sheets = len(heights)
    numbers = range(1, sheets + 1)
    types = [
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>',
        '<Default Extension="xml" ContentType="application/xml"/>',
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SPREADSHEET}.sheet.main+xml"/>',
        f'<Override PartName="/xl/styles.xml" ContentType="{_SPREADSHEET}.styles+xml"/>',
        *(f'<Override PartName="/{sheet_path(each)}" ContentType="{_SPREADSHEET}.worksheet+xml"/>' for each in numbers),
    ]
    named = "".join(
        f'<sheet name={quoteattr(sheet_name(title, each, sheets))} sheetId="{each}" r:id="rId{each}"/>'
        for each in numbers
    )
    # Excel creates this name for filters, and LibreOffice shows no filter without it.
    filters = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{each - 1}" hidden="1">'
        + escape(f"{quoted(sheet_name(title, each, sheets))}!$A$1:${column_name(len(columns) - 1)}${height}")
        + "</definedName>"
        for each, height in zip(numbers, heights, strict=True)
    )
    targets = [("worksheet", sheet_path(each).removeprefix("xl/")) for each in numbers] + [("styles", "styles.xml")]
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">{"".join(types)}</Types>',
        "_rels/.rels": _relationships([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{named}</sheets>'
        f"<definedNames>{filters}</definedNames></workbook>",
        "xl/_rels/workbook.xml.rels": _relationships(targets),
        "xl/styles.xml": _styles(columns),
    }
    return {path: (_DECLARATION + text).encode() for path, text in files.items()}


def sheet_name(title: str, number: int, sheets: int) -> str:
    r"""A name that Excel accepts: at most 31 characters, without ``\\ / ? * [ ] :``, no apostrophe at either end."""
    suffix = f" {number}" if sheets > 1 else ""
    printable = "".join(each if each.isprintable() else " " for each in title.translate(_NOT_IN_NAMES))
    name = printable.strip(" '")
    while _units(name) + len(suffix) > _MAX_NAME:
        name = name[:-1].rstrip(" '")
    return (name if name and name.lower() != "history" else "Data") + suffix  # Excel reserves "History"


def quoted(name: str) -> str:
    """The name of a sheet, quoted for a reference."""
    return "'" + name.replace("'", "''") + "'"


def _own_codes(columns: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(_code(each["format"]) for each in columns if "format" in each))


def _code(column_format: str) -> str:
    """The format code (part 1, 18.8.31) of a column's ``format``."""
    if column_format == "percent":
        return "0.00%"
    if column_format.startswith("currency "):
        currency = column_format.removeprefix("currency ")
        digits = next((digits for digits, currencies in _MINOR_UNITS.items() if currency in currencies.split()), 2)
        return f"[${currency}]\\ #,##0" + "." * bool(digits) + "0" * digits
    return column_format


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _relationships(targets: list[tuple[str, str]]) -> str:
    each = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{each}</Relationships>'


def _styles(columns: Sequence[dict[str, Any]]) -> str:
    formats = _FORMATS | {_DECIMAL + scale: "#,##0" + "." * bool(scale) + "0" * scale for scale in range(_SCALES)}
    formats |= {_OWN + number: code for number, code in enumerate(_own_codes(columns))}
    own = {style: _FIRST_OWN_FORMAT + number for number, style in enumerate(formats)}
    declared = "".join(
        f'<numFmt numFmtId="{own[style]}" formatCode="{escape(code)}"/>' for style, code in formats.items()
    )
    used = [
        f'<xf numFmtId="{own.get(style, 0)}" fontId="{int(style == HEADER)}" fillId="0" borderId="0" xfId="0"'
        + (' applyNumberFormat="1"' if style in own else "")
        + (' applyFont="1"' if style == HEADER else "")
        + (' applyAlignment="1"><alignment wrapText="1"/></xf>' if style == WRAPPED else "/>")
        for style in range(max(formats) + 1)
    ]
    font = '<font>{}<sz val="11"/><name val="Calibri"/></font>'
    return (
        f'<styleSheet xmlns="{_MAIN}"><numFmts count="{len(own)}">{declared}</numFmts>'
        f'<fonts count="2">{font.format("")}{font.format("<b/>")}</fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(used)}">{"".join(used)}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )
