"""Each report is read as the functions read it."""

from pathlib import Path

from checks.source import ROOT
from shared import catalogue
from shared.errors import ExportError, InvalidDefinition
from shared.query import Query

FOLDER = ROOT / "reports"


def faults(folder: Path) -> list[str]:
    """One sentence for each report that could not be exported, naming its file."""
    found = []
    for file in sorted(folder.glob("*.y*ml")):
        try:
            if file.suffix != ".yaml":
                raise InvalidDefinition(f"{file.name}: a report's file ends in .yaml")
            report = catalogue.parse(file.stem, file.read_text("utf-8"))
            parameters = report.definition.get("parameters", {})
            samples = {name: "2000-01-01" for name, rule in parameters.items() if rule["type"] == "date"}
            Query.of(report.definition, dict.fromkeys(parameters, 0) | samples, "tenant")
        except ExportError as error:
            message = str(error)
            found.append(f"reports/{message if message.startswith(file.name) else f'{file.name}: {message}'}")
    return found
