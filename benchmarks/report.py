"""Writes the measured part of docs/performance.md, and its plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import cost, svg
from benchmarks.claims import SCALED, SIZES, Figure, Results, Verdict, missed, verdicts
from benchmarks.contestants import CONTESTANTS

FULL_ROWS = 1_000_000
BEGIN, END = "<!-- measured: begin (make bench writes what is between) -->", "<!-- measured: end -->"
RIVALS = ("xlsxwriter", "rustpy-xlsxwriter", "jetxl", "csv module", "gzip", "polars sink_csv")
"""Other tools in the plots; they are also measured at a tenth of the rows."""
_COSTED = {"csv": "csv module", "csv.gz": "gzip", "xlsx": "xlsxwriter", "parquet": ""}


def render(results: Results, machine: dict[str, str], rows: int, plots: str) -> str:
    """The measured part of the page, as Markdown.

    Args:
        results: see :mod:`benchmarks.claims`.
        machine: the machine and versions that were measured.
        rows: the ``ROWS`` of ``make bench``.
        plots: the folder of the plots, as the page links to it.
    """
    judged = verdicts(results)
    blocks = [
        _warning(judged, rows),
        _claims(judged, results),
        _plots(results, plots),
        _contestants(results),
        _spent(results),
        _profile(results),
        _scale(results),
        _assembler(results),
        _service(results),
        _sizes(results),
        _polling(results),
        _costs(results),
        _machine(results, machine, rows),
    ]
    return "\n\n".join(block for block in blocks if block)


def write(results: Results, machine: dict[str, str], rows: int, page: Path) -> None:
    """Writes the measured part between the markers of the page, and draws the plots. Creates a missing page."""
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    measured = render(results, machine, rows, folder.name)
    text = page.read_text() if page.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} must have each of these lines once:\n{BEGIN}\n{END}")
    head, rest = text.split(BEGIN)
    page.write_text(f"{head}{BEGIN}\n\n{measured}\n\n{END}{rest.split(END)[1]}")
    for name, drawn in draw(results).items():
        (folder / name).write_text(drawn)


def draw(results: Results) -> dict[str, str]:
    """The plots for which there are measurements, by file name."""
    drawn = {}
    if series := _time_against_rows(results):
        drawn["time.svg"] = svg.lines("CPU time by number of rows (one thread)", "rows", "CPU seconds", series)
    ratios = [
        (_short(f"{verdict.claim.work} : {verdict.claim.against}"), *_values(verdict.figure), verdict.claim.must)
        for verdict in verdicts(results)
        if verdict.figure and verdict.claim.unit == "×" and verdict.claim.at_least
    ]
    if ratios:
        drawn["ratios.svg"] = svg.bars("How many times faster; the dashed line is the requirement", ratios)
    return drawn


def _short(words: str) -> str:
    return words if len(words) <= 46 else f"{words[:45]}…"


def summary(results: Results) -> str:
    """The claims as text for a terminal."""
    lines = []
    for verdict in verdicts(results):
        if verdict.figure:
            figure, claim = _shown(verdict), verdict.claim
            words, must = verdict.words.strip("*"), claim.bound(claim.must)
            lines.append(f"{words:18}  {claim.work} : {claim.against}: {figure} (required {must})")
    return "\n".join(lines)


def _warning(judged: list[Verdict], rows: int) -> str:
    lines = []
    if rows != FULL_ROWS:
        lines.append(f"> **A trial of {rows:,} rows; it proves nothing:** the claims are for {FULL_ROWS:,} rows.")
    if lost := missed(judged):
        lines.append(f"> # ⚠ {len(lost)} REQUIREMENT{'S' if len(lost) > 1 else ''} MISSED")
        lines += [
            f"> - **{verdict.claim.work}** against {verdict.claim.against}: {_shown(verdict)}; "
            f"required: {verdict.claim.bound(verdict.claim.must)}"
            for verdict in lost
        ]
    if unknown := [verdict for verdict in judged if verdict.figure is None]:
        names = "; ".join(f"{verdict.claim.work} ({verdict.claim.against})" for verdict in unknown)
        lines.append(f">\n> **Not measured:** {names}.")
    return "\n".join(lines)


def _claims(judged: list[Verdict], results: Results) -> str:
    rows = [
        [
            verdict.claim.work,
            verdict.claim.against + (f" ({verdict.figure.note})" if verdict.figure and verdict.figure.note else ""),
            _shown(verdict),
            verdict.claim.bound(verdict.claim.must),
            verdict.claim.bound(verdict.claim.goal),
            verdict.words,
            f"{results[verdict.claim.group]['date']}" if verdict.figure else "–",
        ]
        for verdict in judged
    ]
    head = ["work", "against", "measured: median (least–most)", "required", "goal", "verdict", "date (UTC)"]
    return f"## The claims\n\n{_table(head, rows)}"


def _shown(verdict: Verdict) -> str:
    if verdict.figure is None:
        return "–"
    return _figure(verdict.figure, verdict.claim.unit)


def _figure(figure: Figure, unit: str = "") -> str:
    if figure.low == figure.high:
        return f"{figure.median:.3g}{unit}"
    return f"{figure.median:.3g}{unit} ({figure.low:.3g}–{figure.high:.3g})"


def _values(figure: Figure | None) -> tuple[float, float, float]:
    assert figure
    return figure.median, figure.low, figure.high


def _plots(results: Results, folder: str) -> str:
    titles = {"time.svg": "CPU time by number of rows", "ratios.svg": "How many times faster"}
    return "\n\n".join(f"![{titles[name]}]({folder}/{name})" for name in draw(results))


def _contestants(results: Results) -> str:
    rows = []
    for group in ("csv", "csv.gz", "xlsx", "parquet"):
        for name, samples in results.get(group, {}).get("samples", {}).items():
            cpu, wall = (Figure.of(each[key] for each in samples) for key in ("cpu", "wall"))
            peak, size = (statistics.median(each[key] for each in samples) / 1e6 for key in ("peak", "size"))
            about = CONTESTANTS[name].about if name in CONTESTANTS else name
            gives_up = ", ".join(sorted(CONTESTANTS[name].forgets)) if name in CONTESTANTS else ""
            rows.append(
                [
                    group,
                    about,
                    _figure(cpu),
                    _figure(wall),
                    f"{peak:.0f}",
                    f"{size:.1f}",
                    str(len(samples)),
                    gives_up or "–",
                ]
            )
    if not rows:
        return ""
    count = next(result["rows"] for result in results.values() if "samples" in result)
    head = ["format", "made by", "CPU s", "wall s", "peak MB", "file MB", "runs", "does not keep"]
    explained = (
        "Medians (least–most) on one thread; *ours* is this project. A third-party reader read back every file and "
        "every cell was compared. *does not keep* names what the file cannot represent and so could not be compared: "
        "`null` as distinct from empty text, the `fraction` of seconds, `control` characters."
    )
    return f"## Comparison: {count:,} rows × 12 columns\n\n{explained}\n\n{_table(head, rows)}"


def _spent(results: Results) -> str:
    """Where the CPU time goes: what each format adds to reading."""
    samples = results.get("scale", {}).get("samples", {})
    cpu = {
        name.removesuffix(" whole"): statistics.median(each["cpu"] for each in taken)
        for name, taken in samples.items()
        if name.endswith(" whole")
    }
    if "read" not in cpu:
        return ""
    rows = []
    for name, value in cpu.items():
        if name != "read":
            rest = value - cpu["read"]
            base = name.removesuffix(".gz")
            parted = (
                f"text {cpu[base] - cpu['read']:.2f} s, deflate and CRC {value - cpu[base]:.2f} s"
                if base != name
                else "–"
            )
            rows.append([name, f"{value:.2f}", f"{cpu['read'] / value:.0%}", f"{rest:.2f}", parted])
    head = ["format", "CPU s", "share of reading Parquet", "formatting and writing, s", "of that"]
    floor = (
        f"The minimum is reading: decoding the orders alone takes {cpu['read']:.2f} s of CPU time. A better writer "
        "could save only the time beyond that."
    )
    return f"## Where the time goes\n\n{floor}\n\n{_table(head, rows)}"


def _profile(results: Results) -> str:
    facts = results.get("profile", {}).get("facts", {})
    if not facts:
        return ""
    rows = [
        [name, ", ".join(f"{function} {share:.0%}" for function, share in shares)] for name, shares in facts.items()
    ]
    explained = (
        "The functions with the most time of their own, measured with cProfile. `PyLazyFrame.collect` is polars, both "
        "reading and formatting."
    )
    return f"{explained}\n\n{_table(['format', 'share of the time'], rows)}"


def _scale(results: Results) -> str:
    scale = results.get("scale", {})
    if not scale:
        return ""
    counts = scale["facts"]["rows"]
    names = sorted({name.rsplit(" ", 1)[0] for name in scale["samples"]})
    rows = []
    for name in names:
        taken = [scale["samples"].get(f"{name} {size}", []) for size in SIZES]
        micro = [
            f"{statistics.median(each['cpu'] for each in some) / counts[size] * 1e6:.2f}" if some else "–"
            for size, some in zip(SIZES, taken, strict=True)
        ]
        peaks = [f"{statistics.median(each['peak'] for each in some) / 1e6:.0f}" if some else "–" for some in taken]
        rows.append([name, *micro, *peaks])
    head = [
        "format",
        *(f"{counts[size]:,}: µs per row" for size in SIZES),
        *(f"{counts[size]:,}: peak MB" for size in SIZES),
    ]
    explained = "One worker makes all parts one after the other. The memory includes the interpreter and the engine."
    return f"## Rows and memory\n\n{explained}\n\n{_table(head, rows)}"


def _assembler(results: Results) -> str:
    facts = results.get("assembler", {}).get("facts", {})
    rows = [
        [
            name,
            f"{fact['rows']:,}",
            f"{fact['parts']:,}",
            f"{fact['bytes'] / 1e6:,.1f}",
            f"{fact['fetched'] / 1e6:,.2f} ({fact['percent']:.3g} %)",
            f"{fact['literal'] / 1e3:,.1f}",
            f"{fact['seconds'] * 1e3:,.1f}",
        ]
        for name, fact in facts.items()
    ]
    if not rows:
        return ""
    head = ["file", "rows", "parts", "MB", "MB through the assembler", "kB that it generates", "ms to plan"]
    explained = (
        "Computed from real parts, with the sizes that the planner chooses for the default MapConcurrency, 20. S3 "
        "copies the rest. A part of an upload must have at least 5 MiB, so the assembler must join smaller pieces."
    )
    return f"## What goes through the assembler\n\n{explained}\n\n{_table(head, rows)}"


def _service(results: Results) -> str:
    facts = results.get("service", {}).get("facts", {})
    if not facts:
        return ""
    whole = facts["runs"]
    seconds, engine = (Figure.of(run[key] for run in whole) for key in ("seconds", "engine"))
    names = list(dict.fromkeys(name for spent in facts["ten_rows"]["spent"] for name in spent))
    rows = [
        [
            name,
            f"{statistics.median(spent.get(name, 0) for spent in facts['ten_rows']['spent']) * 1e3:,.0f}",
            f"{statistics.median(run['spent'].get(name, 0) for run in whole) * 1e3:,.0f}",
        ]
        for name in names
    ]
    head = ["step", "ten rows, ms", f"{facts['rows']:,} rows, ms"]
    explained = (
        f"{facts['rows']:,} rows as csv take {_figure(seconds)} s from POST to SUCCEEDED; the engine alone takes "
        f"{_figure(engine)} s in two processes. Ten rows take "
        f"{_figure(Figure.of(facts['ten_rows']['seconds']))} s, warm. The emulator runs the API, DynamoDB, S3 and Step "
        "Functions on the same two cores; AWS does not."
    )
    return f"## The service on the emulator\n\n{explained}\n\n{_table(head, rows)}"


def _sizes(results: Results) -> str:
    facts = results.get("sizes", {}).get("facts", {})
    if not facts:
        return ""
    imports = [
        [
            name,
            f"{statistics.median(fact['seconds']) * 1e3:.0f} ({min(fact['seconds']) * 1e3:.0f})",
            "yes" if fact["engine"] else "no",
        ]
        for name, fact in facts["imports"].items()
    ]
    text = f"## Import time\n\n{_table(['function', 'ms: median (least)', 'loads the engine'], imports)}"
    packages = results.get("service", {}).get("facts", {}).get("packages") or facts["packages"]
    if packages:
        rows = [[name, f"{size / 1e6:,.1f}"] for name, size in packages.items()]
        text += f"\n\n## Sizes\n\nUnzipped sizes of the output of `sam build`.\n\n{_table(['package', 'MB'], rows)}"
    return text


def _polling(results: Results) -> str:
    facts = results.get("polling", {}).get("facts", {})
    if not facts:
        return ""
    names = ("api", "lambda", ("GetItem", "Query", "Scan"), "ListObjectsV2", "HeadObject", "GetObject")
    rows = []
    for title, counts in facts.items():
        numbers = [sum(counts.get(each, 0) for each in ([name] if isinstance(name, str) else name)) for name in names]
        rows.append([title, *(f"{number:,}" for number in numbers), f"{cost.watching(counts):.6f}"])
    head = ["what is watched", "API requests", "Lambda invocations", "DynamoDB reads", "S3 LIST", "S3 HEAD", "S3 GET"]
    explained = (
        "Counted: [web/poll.js](../web/poll.js) gives the times of the requests, and the real functions answer them on "
        "moto, warm ([benchmarks/polling.py](../benchmarks/polling.py)). Each visible page shows one running export, "
        "whose parts are done evenly. A page first asks for the reports, the limits and the list. Hidden pages ask for "
        f"nothing. Assumed: Lambda bills {cost.API_SECONDS:g} s for an invocation. The dollars are without logs and "
        "traces."
    )
    return f"## What watching costs\n\n{explained}\n\n{_table([*head, 'US $'], rows)}"


def _costs(results: Results) -> str:
    source = results.get("scale", {}).get("facts", {}).get("source_bytes_a_row")
    if not source:
        return ""
    rows = []
    for count in (1_000_000, 100_000_000, 1_000_000_000):
        for name, rival in _COSTED.items():
            measured = _per_million(results, "scale", f"{name} whole")
            if not measured:
                continue
            theirs = _per_million(results, name, rival) if rival else None
            ways = {
                "ours, arm": cost.ours(count, measured, source, "arm"),
                "ours, x86": cost.ours(count, measured, source, "x86"),
                "library": cost.library(count, theirs, "arm") if theirs else None,
                "Athena": None if name == "xlsx" else cost.athena(count, measured, source),
                "Glue": None if name == "xlsx" else cost.glue(count, measured),
            }
            able = {way: each for way, each in ways.items() if each and not each.remark.startswith("cannot")}
            cheapest = min(able, key=lambda way: able[way].total)
            kept = f"{able['ours, arm'].storage:.4f} / {able['ours, arm'].storage / 2:.4f}"
            rows.append([f"{count // 1_000_000:,}M", name, *map(_dollars, ways.values()), rival or "–", kept, cheapest])
    head = ["rows", "format", "ours, arm", "ours, x86", "one Lambda with a library", "Athena UNLOAD", "Glue"]
    head += ["library", "storage: ours / others", "cheapest in total"]
    prices = [[f"{price.dollars:.10f}".rstrip("0"), price.unit, price.page] for price in cost.PRICES.values()]
    explained = (
        "Dollars to make one export and to store it for seven days: the file and its parts for ours, the file alone "
        "for the others. CPU time and bytes are measured. Assumed: Lambda's processor needs "
        f"{cost.SLOWER}× the seconds of this machine; {cost.WAITING} s per part for start and S3; "
        f"{cost.ASSEMBLER_SECONDS:g} s plus {cost.COPY_SECONDS} s per part for AssembleFile; Glue with "
        f"{cost.GLUE_DPU} DPU, {cost.GLUE_ROWS_PER_SECOND:,} rows per second after {cost.GLUE_START:g} s. Athena and "
        "Glue write many files and no xlsx; they have no API, progress, retry or privacy of rows. If you only need the "
        "rows in S3, in many files, Athena is cheaper. `cannot` means that a library exceeds Lambda's 15 minutes; the "
        "minutes are what it would need."
    )
    return (
        f"## What it costs\n\n{explained}\n\n{_table(head, rows)}\n\n"
        f"Prices of us-east-1, without free tiers:\n\n{_table(['US $', 'per', 'AWS page'], prices)}"
    )


def _per_million(results: Results, group: str, name: str) -> cost.Measured | None:
    samples = results.get(group, {}).get("samples", {}).get(name, [])
    if not samples:
        return None
    rows = results["scale"]["facts"]["rows"]["whole"] if group == "scale" else results[group]["rows"]
    cpu, size = (statistics.median(each[key] for each in samples) / rows * 1e6 for key in ("cpu", "size"))
    return cost.Measured(cpu, round(size))


def _dollars(way: cost.Cost | None) -> str:
    if way is None:
        return "–"
    return f"{way.making:.4f}" + (f" ({way.remark})" if way.remark.startswith("cannot") else "")


def _machine(results: Results, machine: dict[str, str], rows: int) -> str:
    dates = sorted(result["date"] for result in results.values())
    when = f"{dates[0]} to {dates[-1]} UTC" if dates else "–"
    table = _table(["item", "value"], [["rows", f"{rows:,}"], ["measured", when], *map(list, machine.items())])
    return f"## Machine and versions\n\n{table}"


def _time_against_rows(results: Results) -> dict[str, list[tuple[float, float]]]:
    scale = results.get("scale", {})
    series: dict[str, list[tuple[float, float]]] = {}

    def add(name: str, rows: int, samples: list[dict[str, Any]]) -> None:
        shown = "csv module, gzip" if name == "gzip" else name
        series.setdefault(shown, []).append((rows, statistics.median(each["cpu"] for each in samples)))

    for key, samples in scale.get("samples", {}).items():
        name, size = key.rsplit(" ", 1)
        if name in SCALED + RIVALS:
            add(name, scale["facts"]["rows"][size], samples)
    for group in ("csv", "csv.gz", "xlsx"):
        for name, samples in results.get(group, {}).get("samples", {}).items():
            if name in RIVALS:
                add(name, results[group]["rows"], samples)
    return {name: points for name, points in series.items() if all(x > 0 and y > 0 for x, y in points)}


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '∣') for cell in line)} |" for line in lines)
