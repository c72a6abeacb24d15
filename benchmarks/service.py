"""Measures the whole service on the AWS emulator, compared with the engine alone.

:func:`measure` copies the project, adds the report ``orders``, and deploys the copy on an emulator of its own with the
project's commands. There ``python -m benchmarks.service`` (:func:`main`) puts the orders into the data bucket, exports
them, reads the file back, and writes the measurements as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import round_trip, sizes
from benchmarks.contestants import Contestant
from benchmarks.measure import ONE_THREAD, ROOT
from benchmarks.orders import COLUMNS, FIRST_ID

TENANT = "BENCH"
REPORT = {
    "title": "Orders",
    "source": {"type": "parquet", "dataset": "orders"},
    "tenant": "tenant",
    "parameters": {
        "first": {"title": "First order", "type": "integer", "filter": {"column": "order_id", "operator": ">="}},
        "last": {"title": "Last order", "type": "integer", "filter": {"column": "order_id", "operator": "<="}},
    },
    "columns": COLUMNS,
}
_COPIED = ["template.yaml", "samconfig.toml", "functions", "layers", "reports", "statemachines", "local", "checks"]
_COPIED += ["benchmarks", "events", "requirements", "exports_admin"]
_LINKED = [".venv", ".local/emulator", ".local/runtime", ".local/sample"]
_POLL_SECONDS = 0.02
_LONGEST_SECONDS = 1_800


def measure(files: list[Path], repetitions: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The facts of :func:`main`, from a copy of the project under the folder.

    Raises:
        RuntimeError: the project is not set up, or one of its commands failed.
    """
    missing = [name for name in _LINKED if name != ".local/sample" and not (ROOT / name).exists()]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} is missing. Run make bench, which sets everything up.")
    project = folder / "project"
    _copy(project)
    results = folder / "service.json"
    results.unlink(missing_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    python = str(project / ".venv" / "bin" / "python")
    work = [python, "-m", "benchmarks.service", str(results), str(repetitions), *map(str, files)]
    variables = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    say("service: building and deploying a copy of the project with the report orders")
    command = [python, "-m", "local", "run", "--port", port, "--", *work]
    status, output = _run(command, project, variables)
    if status or not results.exists():
        raise RuntimeError(f"measuring the service failed:\n{output[-3000:]}")
    facts: dict[str, Any] = json.loads(results.read_text())
    return facts


def _run(command: list[str], folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    """Runs the command to its end. On an interrupt, gives it time to stop the emulator that it started."""
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        process.terminate()
        process.wait(30)
        raise
    return process.returncode, output


def _copy(project: Path) -> None:
    """Copies the project's files except its tests, and links what is installed."""
    for name in _COPIED:
        source, target = ROOT / name, project / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (project / "reports" / "orders.yaml").write_text(json.dumps(REPORT, indent=1))  # JSON is YAML
    for name in _LINKED:
        link = project / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(ROOT / name)


def main(results: Path, repetitions: int, files: list[Path]) -> None:
    """Measures the stack that .local/stack.json describes; see the module docstring."""
    from exports_admin import stack
    from local import launcher

    description = launcher.describe()
    assert description, "no stack: start this with python -m local run"
    stage = _Stage(description, stack)
    stage.fill(files)
    _warm_up(stage)
    ten = [stage.export({"first": FIRST_ID + 5, "last": FIRST_ID + 14}) for _ in range(max(repetitions, 5))]
    runs, ratios = [], []
    scratch = results.with_name("service")
    scratch.mkdir(exist_ok=True)
    stage.export({})  # warm up at this size too: the emulator keeps the memory that it allocates for the file
    stage.clear()
    for turn in range(repetitions):
        engine = _engine(files, scratch)
        run = stage.export({}, scratch / "orders.csv" if turn == repetitions - 1 else None)
        runs.append(run | {"engine": engine})
        ratios.append(run["seconds"] / engine)
        stage.clear()
    rows = round_trip.check(Contestant("csv", lambda: lambda *_: None, titles=True), scratch / "orders.csv", files)
    shutil.rmtree(scratch)
    facts = {
        "rows": rows,
        "ratios": ratios,
        "runs": runs,
        "ten_rows": {"seconds": [each["seconds"] for each in ten], "spent": [each["spent"] for each in ten]},
        "packages": sizes.packages(Path(".aws-sam") / "build"),
    }
    results.write_text(json.dumps(facts))


def _warm_up(stage: _Stage) -> None:
    """Exports ten rows until it gets no faster: then every function has a warm worker."""
    before, tries = float("inf"), 0
    while tries < 5 and (now := stage.export({"first": FIRST_ID, "last": FIRST_ID + 9})["seconds"]) < 0.95 * before:
        before, tries = now, tries + 1


class _Stage:
    """The deployed stack, as a user and as an administrator."""

    def __init__(self, description: dict[str, Any], stack: Any) -> None:
        self._described = description
        self._s3, self._machine = (stack.client(name, description) for name in ("s3", "stepfunctions"))
        email = f"{TENANT.lower()}@example.com"
        user = stack.create_user(description, email, TENANT)
        users = {"users": description["users"] | {TENANT: user}}
        self._token: str = stack.sign_in(description | users, TENANT)

    def fill(self, files: list[Path]) -> None:
        """Uploads the orders to the source's location; the tenant is a partition."""
        bucket, prefix = self._described["data_location"].removeprefix("s3://").split("/", 1)
        for file in files:
            self._s3.upload_file(str(file), bucket, f"{prefix}orders/tenant={TENANT}/{file.name}")

    def export(self, parameters: dict[str, int], save: Path | None = None) -> dict[str, Any]:
        """Makes an export and saves its file; returns the seconds to SUCCEEDED as the user sees it, and by step."""
        from local.demo import call

        options = {"spreadsheet_safe": False, "timezone": "UTC"}
        body = {"report": "orders", "format": "csv", "parameters": parameters, "options": options}
        began, clock = time.time(), time.perf_counter()
        export = call(f"{self._described['api_url']}/exports", self._token, body)
        answered = time.perf_counter() - clock
        while export["status"] in {"QUEUED", "RUNNING"}:
            if time.perf_counter() - clock > _LONGEST_SECONDS:
                raise RuntimeError(f"the export did not end in {_LONGEST_SECONDS} s: {export}")
            time.sleep(max(_POLL_SECONDS, 0.01 * (time.perf_counter() - clock)))
            export = call(export["links"]["self"], self._token)
        seconds = time.perf_counter() - clock
        if export["status"] != "SUCCEEDED":
            raise RuntimeError(f"the export did not succeed: {export}")
        if save:
            self._save(call(export["links"]["file"], self._token)["url"], save)
        spent = {"POST answered": answered} | self._spent(export, began + answered, began + seconds)
        return {"seconds": seconds, "spent": spent, "rows": export["rows"], "bytes": export["bytes"]}

    def clear(self) -> None:
        """Removes the files of exports, because the emulator holds them in memory."""
        for prefix in ("work/", "exports/"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._described["bucket"], Prefix=prefix
            ):
                for item in page.get("Contents", []):
                    self._s3.delete_object(Bucket=self._described["bucket"], Key=item["Key"])

    def _spent(self, export: dict[str, Any], answered: float, seen: float) -> dict[str, float]:
        """Seconds of each state, from the execution's history, and the time before and after the execution."""
        arn = self._described["state_machine_arn"].replace(":stateMachine:", ":execution:")
        pages = self._machine.get_paginator("get_execution_history").paginate(
            executionArn=f"{arn}:{export['id']}-{export['attempt']}"
        )
        events = [event for page in pages for event in page["events"]]
        entered = [
            (event["stateEnteredEventDetails"]["name"], event["timestamp"].timestamp())
            for event in events
            if "stateEnteredEventDetails" in event
        ]
        ended = max(event["timestamp"].timestamp() for event in events)
        states = [*entered, ("", ended)]
        spent = {"until the execution starts": max(0.0, entered[0][1] - answered)}
        for (name, start), (_, end) in itertools.pairwise(states):
            spent[name] = spent.get(name, 0.0) + end - start
        return spent | {"until the client sees it": max(0.0, seen - ended)}

    @staticmethod
    def _save(url: str, save: Path) -> None:
        import urllib.request

        with urllib.request.urlopen(url) as answer, save.open("wb") as into:
            shutil.copyfileobj(answer, into, 1024 * 1024)


def _engine(files: list[Path], scratch: Path) -> float:
    """Seconds that polars alone takes in two processes that each write half the rows, without their start."""
    half = -(-len(files) // 2)
    started = []
    for number, share in enumerate(filter(None, (files[:half], files[half:]))):
        out = scratch / f"engine-{number}.csv"
        command = [sys.executable, "-m", "benchmarks.contestants", "polars sink_csv", str(out), *map(str, share)]
        started.append(subprocess.Popen(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate()[0] for process in started]
    for file in scratch.glob("engine-*.csv"):
        file.unlink()
    return max(float(json.loads(each.splitlines()[-1])["wall"]) for each in outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
