"""A function that needs no engine does not load one: neither the API functions nor AssembleFile have its layer."""

import subprocess
import sys
from typing import Any

import pytest

from tests.unit.support import FUNCTIONS, event, folder_of, functions, template

SHOW = "import sys, {module}; print('\\n'.join(name for name in sys.modules if '.' not in name))"


def needs_engine(function: dict[str, Any]) -> bool:
    return {"Ref": "EngineLayer"} in function.get("Layers", [])


@pytest.mark.parametrize("name", [name for name, function in functions().items() if not needs_engine(function)])
def test_a_function_without_the_engines_layer_imports_none(name: str) -> None:
    variables = {
        key: str(value) for key, value in template()["Globals"]["Function"]["Environment"]["Variables"].items()
    }
    environment = variables | event("environment")[name] | {"PYTHONPATH": str(FUNCTIONS), "AWS_REGION": "eu-west-1"}
    loaded = subprocess.run(
        [sys.executable, "-c", SHOW.format(module=f"{folder_of(functions()[name])}.app")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert "shared" in loaded
    assert not {"polars", "pyarrow", "pandas", "numpy", "isal", "sqlglot"} & set(loaded)


def test_only_the_functions_that_read_and_write_rows_have_the_engines_layer() -> None:
    assert [name for name, function in functions().items() if needs_engine(function)] == ["PlanParts", "GeneratePart"]
