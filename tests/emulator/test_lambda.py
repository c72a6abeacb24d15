"""Functions run under AWS's runtime interface client, in an environment like Lambda's."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.conftest import Cloud, archive, differs

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
    import json, os, sys, time

    class QuotaExceeded(Exception):
        pass

    def handler(event, context):
        do = (event or {}).get("do")
        print("heard", do)
        if do == "raise":
            raise QuotaExceeded("too many")
        if do == "exit":
            os._exit(3)
        if do == "sleep":
            time.sleep(event["seconds"])
        if do == "environment":
            return {"variables": dict(os.environ), "path": sys.path}
        return do
"""
_functions: dict[Cloud, str] = {}


@pytest.fixture
def function(cloud: Cloud) -> str:
    """The one function that most tests share."""
    if cloud not in _functions:
        own = {"MemorySize": 256, "Environment": {"Variables": {"OWN": "value"}}}
        _functions[cloud] = cloud.function(CODE, Timeout=20, **own)
    return _functions[cloud]


# lambda_runtime


@differs(stock="Runtime.HandlerError", patched="QuotaExceeded")
def test_the_class_of_an_exception_is_its_error_type(cloud: Cloud, expected: str, function: str) -> None:
    failed = cloud.invoke(function, {"do": "raise"})
    assert failed["error"]
    assert failed["answer"]["errorType"] == expected
    assert failed["answer"]["errorMessage"] == "too many"
    if expected == "QuotaExceeded":
        assert "raise QuotaExceeded" in failed["answer"]["stackTrace"][0]


@pytest.mark.parametrize(
    ("code", "do", "error", "message"),
    [
        ("import nowhere", "", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("{}['setting']", "", "KeyError", "setting"),
        (CODE, "sleep", "Sandbox.Timedout", "timed out after 1.00 seconds"),
        (CODE, "exit", "Runtime.ExitError", ""),
    ],
    ids=["it cannot be imported", "it fails while it loads", "it is too slow", "its process ends"],
)
def test_a_function_that_does_not_answer_has_the_error_that_lambda_gives_it(
    cloud: Cloud, code: str, do: str, error: str, message: str
) -> None:
    name = cloud.function(code, Timeout=1)
    failed = cloud.invoke(name, {"do": do, "seconds": 30})["answer"]
    assert failed["errorType"] == error
    assert message in failed["errorMessage"]
    if code == CODE:  # another process takes its place
        assert cloud.invoke(name, {"do": "again"}) == {"error": False, "answer": "again"}


@differs(stock=True, patched=False)
def test_the_environment_of_the_host_does_not_leak_in(cloud: Cloud, expected: bool, function: str) -> None:
    allowed = ("AWS_", "LAMBDA_", "PATH", "PYTHONPATH", "HOME", "TMPDIR", "PWD", "LANG", "LC_", "TZ", "_", "OWN")
    variables = cloud.invoke(function, {"do": "environment"})["answer"]["variables"]
    assert expected is any(not name.startswith(allowed) for name in variables)


def test_the_environment_is_lambdas_and_the_functions_own(cloud: Cloud, function: str) -> None:
    seen = cloud.invoke(function, {"do": "environment"})["answer"]
    variables = seen["variables"]
    expected = {
        "OWN": "value",
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": cloud.url,
    }
    assert {name: variables[name] for name in expected} == expected
    assert variables["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert seen["path"][0] == variables["LAMBDA_TASK_ROOT"]


def test_logs_arrive_in_the_configured_group(cloud: Cloud) -> None:
    group = "/exports/one-group"
    cloud.invoke(cloud.function(CODE, LoggingConfig={"LogGroup": group}), {"do": "something"})
    events = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    assert "heard something" in [event["message"] for event in events]


def test_invocations_run_beside_each_other(cloud: Cloud, function: str) -> None:
    def work(_: int) -> Any:
        return cloud.invoke(function, {"do": "sleep", "seconds": 0.8})["answer"]

    began = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == ["sleep"] * 6
    assert time.monotonic() - began < 6 * 0.8


def test_a_warm_invocation_is_quick(cloud: Cloud, function: str) -> None:
    def seconds() -> float:
        began = time.monotonic()
        cloud.invoke(function, {"do": "nothing"})
        return time.monotonic() - began

    assert min(seconds() for _ in range(10)) < 0.04


# update_lets_invocations_end

WAITING = """
    import pathlib, time

    def handler(event, context):
        pathlib.Path(event, "begun").touch()
        while not pathlib.Path(event, "end").exists():
            time.sleep(0.01)
        return "old"
"""


@differs(stock=True, patched=False)
@pytest.mark.parametrize(("change", "then"), [("code", "new"), ("configuration", "old")])
def test_an_update_does_not_end_what_runs(cloud: Cloud, expected: bool, tmp_path: Path, change: str, then: str) -> None:
    name, answers = cloud.function(WAITING, Timeout=30), list[dict[str, Any]]()
    running = threading.Thread(target=lambda: answers.append(cloud.invoke(name, str(tmp_path))))
    running.start()
    cloud.until((tmp_path / "begun").exists)
    if change == "code":
        new = archive({"app.py": "def handler(event, context): return 'new'"})
        cloud.client("lambda").update_function_code(FunctionName=name, ZipFile=new)
    else:
        cloud.client("lambda").update_function_configuration(FunctionName=name, MemorySize=256)
    (tmp_path / "end").touch()
    running.join()
    assert answers[0]["error"] is expected
    assert expected or answers[0]["answer"] == "old"
    assert cloud.invoke(name, str(tmp_path)) == {"error": False, "answer": then}
