"""Functions run under AWS's runtime interface client, in an environment like Lambda's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Cloud

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
            return {"variables": dict(os.environ), "path": sys.path, "pid": os.getpid()}
        if do == "identity":
            import boto3
            return boto3.client("sts").get_caller_identity()["Arn"]
        if do == "layer":
            import greeting
            return [greeting.WORDS, open(os.environ["WORDS_FILE"]).read(), os.environ["ROOT"], os.environ["OPTION"]]
        return do
"""


@pytest.fixture(scope="session")
def stock_function(stock: Cloud) -> str:
    return stock.function(CODE, Timeout=20)


@pytest.fixture(scope="session")
def function(patched: Cloud) -> str:
    return patched.function(CODE, Timeout=20, MemorySize=256, Environment={"Variables": {"OWN": "value"}})


def test_stock_names_every_error_handler_error(stock: Cloud, stock_function: str) -> None:
    failed = stock.invoke(stock_function, {"do": "raise"})
    assert failed["answer"]["errorType"] == "Runtime.HandlerError"


def test_stock_leaks_the_hosts_environment(stock: Cloud, stock_function: str) -> None:
    seen = stock.invoke(stock_function, {"do": "environment"})["answer"]["variables"]
    assert "GATEWAY_PORT" in seen


def test_an_exceptions_class_is_its_error_type(patched: Cloud, function: str) -> None:
    failed = patched.invoke(function, {"do": "raise"})
    assert failed["error"]
    assert failed["answer"]["errorType"] == "QuotaExceeded"
    assert failed["answer"]["errorMessage"] == "too many"
    assert "raise QuotaExceeded" in failed["answer"]["stackTrace"][0]


def test_step_functions_sees_the_class_and_the_payload(patched: Cloud, function: str) -> None:
    parameters = {"FunctionName": function, "Payload": {"do": "raise"}}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
        "End": True,
    }
    caught = {**task, "Catch": [{"ErrorEquals": ["QuotaExceeded"], "Next": "Caught"}]}
    ended = patched.run({"StartAt": "Ask", "States": {"Ask": caught, "Caught": {"Type": "Pass", "End": True}}})
    assert ended["status"] == "SUCCEEDED"
    assert ended["output"]["Error"] == "QuotaExceeded"
    assert '"errorMessage": "too many"' in ended["output"]["Cause"]


def test_a_function_that_does_not_import_says_so(patched: Cloud) -> None:
    failed = patched.invoke(patched.function("import nowhere"))
    assert failed["answer"]["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'nowhere'" in failed["answer"]["errorMessage"]


def test_a_function_that_fails_while_it_loads_gives_its_own_error(patched: Cloud) -> None:
    failed = patched.invoke(patched.function("{}['setting']"))
    assert failed["answer"]["errorType"] == "KeyError"


def test_a_slow_function_times_out(patched: Cloud) -> None:
    failed = patched.invoke(patched.function(CODE, Timeout=1), {"do": "sleep", "seconds": 30})
    assert failed["answer"]["errorType"] == "Sandbox.Timedout"
    assert "timed out after 1.00 seconds" in failed["answer"]["errorMessage"]


def test_a_process_that_dies_is_an_exit_error_and_the_next_one_starts(patched: Cloud, function: str) -> None:
    assert patched.invoke(function, {"do": "exit"})["answer"]["errorType"] == "Runtime.ExitError"
    assert patched.invoke(function, {"do": "again"}) == {"error": False, "answer": "again"}


def test_the_environment_is_lambdas_and_the_functions_own(patched: Cloud, function: str) -> None:
    seen = patched.invoke(function, {"do": "environment"})["answer"]
    variables = seen["variables"]
    assert variables["OWN"] == "value"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == function
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{function}"
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "us-east-1"
    assert variables["AWS_ENDPOINT_URL"] == patched.url
    assert variables["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert seen["path"][0] == variables["LAMBDA_TASK_ROOT"]
    allowed = ("AWS_", "LAMBDA_", "PATH", "PYTHONPATH", "HOME", "TMPDIR", "PWD", "LANG", "LC_", "TZ", "_", "OWN")
    assert [name for name in variables if not name.startswith(allowed)] == []


def test_a_function_acts_with_its_own_role(patched: Cloud, function: str) -> None:
    role = patched.client("lambda").get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    caller = patched.invoke(function, {"do": "identity"})["answer"]
    assert caller.startswith(f"arn:aws:sts::000000000000:assumed-role/{role}/")


def test_layers_are_on_the_path_and_opt_means_their_folder(patched: Cloud) -> None:
    one = patched.layer({"python/greeting.py": "WORDS = 'hello'"})
    two = patched.layer({"data/words.txt": "from the layer"})
    variables = {"WORDS_FILE": "/opt/data/words.txt", "ROOT": "/opt", "OPTION": "/optional"}
    name = patched.function(CODE, Layers=[one, two], Environment={"Variables": variables})
    words, text, root, option = patched.invoke(name, {"do": "layer"})["answer"]
    assert (words, text, option) == ("hello", "from the layer", "/optional")
    assert root != "/opt"


def test_logs_arrive_in_the_configured_group(patched: Cloud) -> None:
    group = "/exports/one-group"
    name = patched.function(CODE, LoggingConfig={"LogGroup": group})
    patched.invoke(name, {"do": "something"})
    events = patched.client("logs").filter_log_events(logGroupName=group)["events"]
    assert "heard something" in [event["message"] for event in events]


def test_invocations_run_beside_each_other(patched: Cloud, function: str) -> None:
    def work(_: int) -> Any:
        return patched.invoke(function, {"do": "sleep", "seconds": 0.8})["answer"]

    began = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == ["sleep"] * 6
    assert time.monotonic() - began < 6 * 0.8


def test_a_warm_invocation_is_quick(patched: Cloud, function: str) -> None:
    def seconds() -> float:
        began = time.monotonic()
        patched.invoke(function, {"do": "nothing"})
        return time.monotonic() - began

    assert min(seconds() for _ in range(10)) < 0.04
