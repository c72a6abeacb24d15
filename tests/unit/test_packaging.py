"""What is deployed: every function from one folder, and only with what Lambda is given."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from exports_admin import packages
from exports_cli.trouble import Trouble
from tests.unit.support import FUNCTIONS, ROOT, folder_of, functions, template

PACKAGES = {"PyJWT": "jwt", "PyYAML": "yaml", "uuid-utils": "uuid_utils"}
PACKAGES |= {"aws-lambda-powertools": "aws_lambda_powertools"}
SERVICES = ("dynamodb", "s3", "sesv2", "sqs", "stepfunctions")
LAZY = {f"mypy_boto3_{service}" for service in SERVICES}  # for the types alone
LAYERS = {name: ROOT / "layers" / name / "requirements.txt" for name in ("engine", "query", "tokens")}
LAYER_OF = {"authorize": "tokens", "queries": "query", "run_query": "query"}
"""The layer of a folder's modules, if it is not the engine's."""
DEPLOYED = [FUNCTIONS / "requirements.txt", *LAYERS.values()]
REQUIREMENTS = sorted({*ROOT.glob("requirements/*.txt"), *ROOT.glob("layers/*/requirements.txt"), *DEPLOYED})


def imported(path: Path) -> set[str]:
    """The top names of every module that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def pinned(path: Path) -> dict[str, str]:
    """The versions that a requirements file pins, by the name that is imported."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", path.read_text("utf-8"), re.MULTILINE)
    names = {package.lower(): module for package, module in PACKAGES.items()}
    return {names.get(name.lower(), name.replace("-", "_")): version for name, version in pins}


def test_every_function_is_built_from_the_same_folder_and_every_folder_of_code_is_a_function_or_shared() -> None:
    assert template()["Globals"]["Function"]["CodeUri"] == "functions/"
    assert [name for name, function in functions().items() if "CodeUri" in function] == []
    folders = {path.parent.name for path in FUNCTIONS.glob("*/app.py")}
    assert folders == {folder_of(function) for function in functions().values()}


def test_no_function_calls_another_host_or_region() -> None:
    """But for Authorize, which reads the issuer's keys."""
    callers = set()
    for path in FUNCTIONS.rglob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"\b(region_name|endpoint_url)=", text), path
        if re.search(
            r"^\s*(import|from) (urllib3|urllib\.request|http\.client|socket|requests|httpx|aiohttp|smtplib)\b",
            text,
            re.M,
        ):
            callers.add(path.relative_to(FUNCTIONS).as_posix())
    assert callers == {"authorize/tokens.py"}
    resources = json.dumps(template()["Resources"]).replace("at the prices of us-east-1", "")
    assert not re.search(r"\b(af|ap|ca|cn|eu|il|me|mx|sa|us)(-gov)?-[a-z]+-\d\b", resources)


def test_every_parameter_stands_in_one_group_of_the_console() -> None:
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template()["Parameters"])


def test_whatever_the_functions_import_is_pinned_for_lambda() -> None:
    ours = {path.name for path in FUNCTIONS.iterdir()}
    for path in FUNCTIONS.rglob("*.py"):
        layer = LAYERS[LAYER_OF.get(path.parent.name, "engine")]
        given = set(pinned(FUNCTIONS / "requirements.txt")) | set(pinned(layer))
        unknown = imported(path) - given - ours - LAZY - set(sys.stdlib_module_names)
        assert unknown == set(), f"{path.relative_to(ROOT)} imports what Lambda does not get"


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_requirement_is_pinned_with_its_hashes_and_no_index_is_named(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links|-f)\b", text, re.MULTILINE)
    assert "://" not in text
    entries = re.split(r"(?<!\\)\n", text.strip())
    for entry in [each for each in entries if each.strip() and not each.startswith("#")]:
        assert re.match(r"[A-Za-z0-9_.\[\],-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_every_install_compares_the_hashes() -> None:
    """`sam build` needs no option: pip compares hashes if a requirements file has them."""
    places = [ROOT / "Makefile", ROOT / ".ci" / "run", *(ROOT / ".github").rglob("*.yml")]
    lines = [line for place in places for line in place.read_text("utf-8").splitlines() if "install" in line]
    by_pip = [line for line in lines if re.search(r"\bpip3? install\b", line)]
    assert len(by_pip) == 2, "pip, and uv's"
    assert all("--require-hashes" in line for line in by_pip)
    assert not [line for line in lines if re.search(r"\bnpm (i|install)\b", line)], (
        "npm ci takes the lock file's hashes"
    )
    for lock in ROOT.glob("*/*/package-lock.json"):
        packages = json.loads(lock.read_text("utf-8"))["packages"]
        assert [name for name, each in packages.items() if name and "integrity" not in each] == [], lock


def test_what_is_audited_and_listed_is_what_is_deployed() -> None:
    (named,) = re.findall(r"^DEPLOYED := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    patterns = re.sub(r"\$\(wildcard (\S+)\)", r"\1", named).split()
    assert {path for pattern in patterns for path in ROOT.glob(pattern)} == set(DEPLOYED)


def test_what_is_tested_is_what_is_deployed() -> None:
    tested = pinned(ROOT / "requirements" / "dev.txt")
    for file in DEPLOYED:
        for name, version in pinned(file).items():
            assert tested.get(name) == version, f"{name} of {file}"


@pytest.mark.parametrize(
    ("engine", "query", "said"),
    [(200_000_000, 100_000_000, "PlanParts has 262144000 bytes"), (1, 200_000_000, "RunQuery has 262144000 bytes")],
)
def test_a_package_over_lambdas_limit_is_refused(
    engine: int, query: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"functions": 62_000_000, "engine layer": engine, "query layer": query, "reports layer": 144_000}
    monkeypatch.setattr(packages, "sizes", lambda: found)
    with pytest.raises(Trouble, match=f"{said}, but Lambda allows 262144000"):
        packages.require_allowed()
    found["functions"] -= 1
    assert packages.require_allowed().endswith("has 262.1 MB. Lambda allows 262.1 MB")


def test_no_function_has_more_than_those_whose_size_is_checked() -> None:
    """The layers of tokens and of the page are a few megabytes."""
    largest = [{*those} - {"functions"} for those in packages.LARGEST.values()]
    for name, function in functions().items():
        layers = {f"{layer['Ref'].removesuffix('Layer').lower()} layer" for layer in function.get("Layers", [])}
        assert any(layers - {"tokens layer", "web layer"} <= those for those in largest), name


def test_the_version_is_the_newest_of_the_changes() -> None:
    changes = re.findall(r"^## (\d+\.\d+\.\d+) ", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert project
    assert template()["Outputs"]["Version"]["Value"] == project[1] == changes[0]
