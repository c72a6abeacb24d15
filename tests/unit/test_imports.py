"""A function that needs no engine does not load one: neither the API functions nor AssembleFile have its layer."""

import subprocess
import sys
from typing import Any

from tests.unit.support import FUNCTIONS, event, folder_of, functions, template

ENGINES = ("polars", "pyarrow", "pandas", "numpy", "isal", "sqlglot", "duckdb")
SHOW = f"""
import importlib, sys
for folder in sys.argv[1:]:
    importlib.import_module(f"{{folder}}.app")
    print(folder, *sorted({set(ENGINES)} & set(sys.modules)))
"""


def having(layer: str) -> list[str]:
    """The functions that have a layer."""
    return [name for name, function in functions().items() if {"Ref": layer} in function.get("Layers", [])]


def loaded(names: list[str]) -> list[str]:
    """``<folder> <engines>`` of each function, in one process."""
    variables: dict[str, Any] = dict(template()["Globals"]["Function"]["Environment"]["Variables"])
    for name in names:
        variables |= event("environment")[name]
    environment = {key: str(value) for key, value in variables.items()}
    shown = subprocess.check_output(
        [sys.executable, "-c", SHOW, *(folder_of(functions()[name]) for name in names)],
        env=environment | {"PYTHONPATH": str(FUNCTIONS), "AWS_REGION": "eu-west-1"},
        text=True,
        timeout=60,
    )
    return shown.splitlines()


def test_a_function_without_the_layer_of_an_engine_imports_none() -> None:
    names = [name for name in functions() if name not in having("EngineLayer") + having("QueryLayer")]
    assert loaded(names) == [folder_of(functions()[name]) for name in names]


def test_each_of_the_others_loads_its_own_engine_alone() -> None:
    assert (having("EngineLayer"), having("QueryLayer")) == (["PlanParts", "GeneratePart"], ["RunQuery"])
    (run_query,) = loaded(["RunQuery"])
    assert set(run_query.split()) - {"isal"} == {"run_query", "duckdb"}  # fsspec imports isal if there is one
    for line in loaded(["PlanParts", "GeneratePart"]):
        assert "polars" in line
        assert "duckdb" not in line
