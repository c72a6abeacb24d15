"""A function that needs no engine does not load one: neither the API functions nor AssembleFile have its layer."""

import subprocess
import sys
from typing import Any

from tests.unit.support import FUNCTIONS, event, folder_of, functions, template

WITHOUT_ENGINE = [
    name for name, function in functions().items() if {"Ref": "EngineLayer"} not in function.get("Layers", [])
]
SHOW = """
import importlib, sys
for folder in sys.argv[1:]:
    importlib.import_module(f"{folder}.app")
    print(folder, *{"polars", "pyarrow", "pandas", "numpy", "isal", "sqlglot"} & set(sys.modules))
"""


def test_a_function_without_the_engines_layer_imports_none() -> None:
    folders = [folder_of(functions()[name]) for name in WITHOUT_ENGINE]
    variables: dict[str, Any] = dict(template()["Globals"]["Function"]["Environment"]["Variables"])
    for name in WITHOUT_ENGINE:
        variables |= event("environment")[name]
    environment = {key: str(value) for key, value in variables.items()}
    loaded = subprocess.check_output(
        [sys.executable, "-c", SHOW, *folders],
        env=environment | {"PYTHONPATH": str(FUNCTIONS), "AWS_REGION": "eu-west-1"},
        text=True,
        timeout=60,
    )
    assert loaded.splitlines() == folders


def test_only_the_functions_that_read_and_write_rows_have_the_engines_layer() -> None:
    assert [name for name in functions() if name not in WITHOUT_ENGINE] == ["PlanParts", "GeneratePart"]
