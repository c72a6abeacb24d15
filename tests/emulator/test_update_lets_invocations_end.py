"""An invocation that has begun ends with the code that it began with."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cloud

CODE = """
    import pathlib, time

    def handler(event, context):
        pathlib.Path(event, "begun").touch()
        while not pathlib.Path(event, "end").exists():
            time.sleep(0.01)
        return "old"
"""


def archive(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as package:
        package.writestr("app.py", text)
    return file.getvalue()


def updated_meanwhile(cloud: Cloud, folder: Path, change: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an invocation answers whose function is updated while it runs; and what the next one answers."""
    function, answers = cloud.function(CODE, Timeout=30), []
    running = threading.Thread(target=lambda: answers.append(cloud.invoke(function, str(folder))))
    running.start()
    cloud.until((folder / "begun").exists)
    if change == "code":
        new = archive("def handler(event, context): return 'new'")
        cloud.client("lambda").update_function_code(FunctionName=function, ZipFile=new)
    else:
        cloud.client("lambda").update_function_configuration(FunctionName=function, MemorySize=256)
    (folder / "end").touch()
    running.join()
    return answers[0], cloud.invoke(function, str(folder))


def test_stock_kills_what_runs(stock: Cloud, tmp_path: Path) -> None:
    assert updated_meanwhile(stock, tmp_path, "code")[0]["error"]


@pytest.mark.parametrize(("change", "then"), [("code", "new"), ("configuration", "old")])
def test_what_runs_ends_with_the_old_code(patched: Cloud, tmp_path: Path, change: str, then: str) -> None:
    first, second = updated_meanwhile(patched, tmp_path, change)
    assert first == {"error": False, "answer": "old"}
    assert second == {"error": False, "answer": then}


def test_a_timeout_still_ends_what_runs(patched: Cloud, tmp_path: Path) -> None:
    answer = patched.invoke(patched.function(CODE, Timeout=1), str(tmp_path))
    assert json.dumps(answer).count("Sandbox.Timedout") == 1
