"""A fault that is planted into the workflow is found: its state, its line, what is wrong."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import pytest

from checks import Fault, workflow
from checks.repository import ROOT, Document
from checks.workflow import machine, table, tools
from checks.workflow.machine import Machine

DEFINITION, TEMPLATE, DESCRIBED = FILES = (machine.FILE, "template.yaml", table.FILE)
TEXTS = {file: (ROOT / file).read_text("utf-8") for file in FILES}


@dataclass
class Plant:
    """A fault: the first `old` behind `after` becomes `new`."""

    name: str
    place: str
    """The state or the resource that is to be named."""
    old: str
    new: str
    says: str
    after: str = ""
    """The state's first line, unless something else is given."""
    at: str = ""
    """What stands on the line that is to be named: the planted text, unless something else is given."""
    file: str = DEFINITION

    def into(self, texts: dict[str, str]) -> dict[str, str]:
        """The files with the fault in one of them."""
        after = self.after or (f'"{self.place}": {{\n' if self.file == DEFINITION else "")
        head, anchor, tail = texts[self.file].partition(after) if after else ("", "", texts[self.file])
        assert tail, f"there is no {after}"
        assert self.old in tail, f"there is no {self.old} behind {after}"
        assert self.old != self.new
        return {**texts, self.file: head + anchor + tail.replace(self.old, self.new, 1)}


document = cache(Document)


def faults(texts: dict[str, str]) -> list[Fault]:
    return workflow.faults_of(texts[DEFINITION], document(texts[TEMPLATE], TEMPLATE), texts[DESCRIBED])


P, T, D = Plant, partial(Plant, file=TEMPLATE), partial(Plant, file=DESCRIBED)
ALL = '"ErrorEquals": ["States.ALL"]'
SQS = '["SQS.AmazonSQSException", "SQS.SdkClientException", "States.Timeout"]'
REFUSED = '"DynamoDB.ConditionalCheckFailedException"'
RETRY = (
    '"Retry": [{"ErrorEquals": ["SourceUnavailable"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 2, '
    '"MaxDelaySeconds": 1, "JitterStrategy": "FULL"}], '
)
CHOICE = """"Next": "IsThereAny"}, "IsThereAny": {
      "Type": "Choice", %s "Choices": [{"Variable": "$.plan.%s", "NumericEquals": 0, "Next": "FanOutParts"}]"""
FAN_OUT = '"Next": "FanOutParts"\n'
TO_FAILED = '"Next": "ExportFailed"\n'
TO_PART_FAILED = '"Next": "PartFailed"\n'

IN_THE_DEFINITION = [
    # Timeouts
    P("the machine may run for ever", "definition", '"TimeoutSeconds": $', '"Comments": $',
      "the machine has no TimeoutSeconds above 0", after="{\n", at="{"),
    P("a Task may run for ever", "RecordRunning", '"TimeoutSeconds": 10', '"HeartbeatSeconds": 10',
      "has no TimeoutSeconds", at='"RecordRunning": {'),
    P("a Task's timeout is a text", "GeneratePart", "${PartTimeoutSeconds}", '"${PartTimeoutSeconds}"',
      "has no TimeoutSeconds above 0"),
    P("a Task may take no time", "RecordRunning", '"TimeoutSeconds": 10', '"TimeoutSeconds": 0', "no TimeoutSeconds"),
    P("a Task outlives the machine", "AssembleFile", "900", "3600",
      "its timeout of 3600 s is not below the machine's 3600 s"),
    P("a Task gives up before its function", "PlanParts", ": 300", ": 299", "waits 299 s but PlanParts can run 300 s"),
    # Retries
    P("a Retry has no cap", "PlanParts", '"MaxDelaySeconds": 30,', "", "its Retry has no MaxDelaySeconds", at="{"),
    P("a Retry tries nothing again", "PlanParts", '"MaxAttempts": 4', '"MaxAttempts": 0',
      "its Retry has no MaxAttempts"),
    P("a Retry does not back off", "PlanParts", '"BackoffRate": 2', '"BackoffRate": 1', "its Retry does not back off"),
    P("a Retry's cap is below its first wait", "PlanParts", ": 30,", ": 1,",
      "MaxDelaySeconds is shorter than its IntervalSeconds"),
    P("a Retry has no jitter", "RecordPartFailure", '"FULL"', '"NONE"', "its Retry has no jitter"),
    P("a Retry names every failure", "PlanParts", "Sandbox.Timedout", "States.TaskFailed",
      "names States.TaskFailed, which includes"),
    P("a Retry names every error", "SendToDeadLetters", SQS, '["States.ALL"]', "its Retry names States.ALL"),
    P("a Retry names none", "SendToDeadLetters", SQS, "[]", "its Retry names no error"),
    P("a Retry names an error twice", "PlanParts", "Lambda.Unknown", "Lambda.ServiceException",
      "ServiceException twice"),
    P("a Retry names what cannot be", "PlanParts", "States.Timeout", "States.TimedOut", "names States.TimedOut, which"),
    P("a Retry names what is never retried", "PlanParts", "States.Timeout", "States.Runtime", "names States.Runtime"),
    P("a Distributed Map is retried", "FanOutParts", '"Label"', RETRY + '"Label"', "a new Map Run over all items"),
    P("a Map tolerates failures", "FanOutParts", '"Label"', '"ToleratedFailureCount": 1, "Label"', "lets items fail"),
    # Catches
    P("a Catch of everything is not the last", "PlanParts", '"PlanPartsFailed"}', '"PlanPartsFailed"},\n'
      '{"ErrorEquals": ["X"], "ResultPath": "$.caught", "Next": "PlanPartsFailed"}',
      "Catch of States.ALL is not the last"),
    P("a Catch of everything names more", "PlanParts", ALL, '"ErrorEquals": ["X", "States.ALL"]', "beside States.ALL"),
    P("a Catch names what another has", "RecordFailed", "{" + ALL, '{"ErrorEquals": [' + REFUSED + "],\n"
      '"Next": "Superseded"}, {' + ALL, "its Catch names DynamoDB.ConditionalCheckFailedException twice"),
    # Targets
    P("a target is missing", "RecordLetterSent", TO_FAILED, '"Next": "ExportFell"\n', "there is no state ExportFell"),
    P("a target is elsewhere", "RecordPartFailure", TO_PART_FAILED, TO_FAILED, "no state ExportFailed at this level"),
    P("the first state is missing", "definition", '"RecordRunning"', '"Begin"', "there is no state Begin", after="{\n"),
    P("a state is not reached", "RecordRunningFailed", '"Next": "RecordRunningFailed"', '"Next": "PlanPartsFailed"',
      "no state leads here", after='"RecordRunning": {', at='"RecordRunningFailed": {'),
    P("a key stands twice", "PartFailed", '"Type"', '"Comment": "",\n"Comment": "",\n"Type"', "Comment occurs twice"),
    P("a name stands twice", "PlanParts", TO_PART_FAILED + "          },", '"Next": "PlanParts"},\n'
      '"PlanParts": {"Type": "Pass", ' + TO_PART_FAILED + "},", "another state has the same name",
      after='"RecordPartFailure": {', at='"PlanParts": {"Type"'),
    P("a Choice has no Default", "IsThereAny", FAN_OUT, CHOICE % ("", "parts_total"), "has no Default",
      after='"PlanParts": {'),
    # Ends
    P("an error before the success is not caught", "PlanParts", ALL, '"ErrorEquals": ["Lambda.Unknown"]',
      "an error ends the execution without RecordFailed", at='"PlanParts": {'),
    P("an error passes by RecordFailed", "AssembleFile", '"Next": "RecordFailed"', '"Next": "SendToDeadLetters"',
      "ends in ExportFailed without RecordFailed", after='"AssembleFileFailed": {', at='"Next": "AssembleFileFailed"'),
    P("a failed export ends SUCCEEDED", "RecordLetterSent", TO_FAILED, '"Next": "ExportSucceeded"\n',
      "ends in ExportSucceeded, which only RecordSucceeded may"),
    P("a failed export ends well", "RecordFailed", '"Next": "ExportFailed"}', '"Next": "Superseded"}',
      "ends in Superseded, which only RecordSucceeded may"),
    P("a failure ends well beside a refused write", "RecordFailed", REFUSED, REFUSED + ', "States.Timeout"',
      "ends in Superseded, which only"),
    P("a refused write counts as a failure", "RecordRunning", '"Next": "Superseded"', '"Next": "RecordRunningFailed"',
      "a failed condition check leads to RecordRunningFailed, but it is not a failure"),
    P("a failure begins anew", "PlanPartsFailed", '"Next": "RecordFailed"', '"Next": "PlanParts"',
      "leads to PlanParts after an error, so a failed export could succeed"),
    P("a succeeded export fails", "RecordSucceeded", '"Next": "Superseded"}', '"Next": "Superseded"}, {' + ALL
      + ', "ResultPath": "$.caught", "Next": "AssembleFileFailed"}',
      "with a complete file could fail", at='"RecordSucceeded": {'),
    P("End ends a failure as a success", "RecordLetterSent", TO_FAILED, '"End": true\n', "the execution as SUCCEEDED"),
    P("a part's error is not caught", "GeneratePart", ALL, '"ErrorEquals": ["Lambda.Unknown"]',
      "nothing records why the item failed", at='"GeneratePart": {'),
    P("a failed part ends well", "GeneratePart", TO_PART_FAILED, '"End": true\n',
      "this error ends in RecordPartFailure as a success", at='"Next": "RecordPartFailure"'),
    # Paths, intrinsic functions, data
    P("a path does not parse", "AssembleFile", "$.plan.name", "$.plan.", "$.plan. is not a JSONPath"),
    P("a path is misspelt", "AssembleFile", "$.plan.name", "$.plan.nmae", "reads $.plan.nmae, which does not exist"),
    P("a path is not there on every way", "SendToDeadLetters", '"$.failure"', '"$.caught"',
      "reads $.caught, which does"),
    P("a result is misspelt", "AssembleFile", "$.Payload.key", "$.Paylod.key", "reads $.Paylod.key, which does not"),
    P("a child reads what it is not given", "RecordPartFailure", "$.part.part", "$.parts.part",
      "reads $.parts.part"),
    P("a Choice reads what is not there", "IsThereAny", FAN_OUT, CHOICE % ('"Default": "FanOutParts",', "parts"),
      "reads $.plan.parts", after='"PlanParts": {', at='"$.plan.parts"'),
    P("the Context object has no such field", "RecordRunning", "$$.Execution.Id", "$$.Execution.Arn",
      "reads $$.Execution.Arn, which the Context object does not have here"),
    P("an item is read outside of ItemSelector", "SendToDeadLetters", "$$.Execution.Id", "$$.Map.Item.Index",
      "reads $$.Map.Item.Index, which the Context object does not have here"),
    P("an intrinsic function does not exist", "RecordRunning", "States.Format", "States.Fromat",
      "not a call of an intrinsic function, at character 8: mismatched input 'Fromat'"),
    P("an intrinsic function is not closed", "RecordRunning", "$.attempt)", "$.attempt",
      "not a call of an intrinsic function"),
    P("an intrinsic function has an argument too many", "PlanPartsFailed", "$.caught)", "$.caught, 1)",
      "States.JsonToString has 2 arguments; AWS documents 1"),
    P("an inner intrinsic function lacks an argument", "RecordRunning", "$.attempt)", "States.MathRandom(1))",
      "States.MathRandom has 1 arguments; AWS documents 2 to 3"),
    P("an intrinsic function reads a misspelt path", "RecordRunning", "$.attempt)", "$.atempt)",
      "reads $.atempt, which"),
    P("a text has too few places", "RecordRunning", "'{}'", "'attempt'", "'attempt' has 0 placeholders for 1 values"),
    P("a path is handed on as a text", "PlanParts", '"owner.$"', '"owner"', "passes the literal text $.owner"),
    P("a text stands where a path must", "AssembleFile", '"$.plan.name"', '"plan.name"', "plan.name is neither a path"),
    P("a field is given twice", "PlanParts", '"owner.$"', '"owner": "", "owner.$"',
      "owner and owner.$ are the same field"),
    P("a ResultPath is more than one place", "PlanParts", '"$.plan"', '"$.plan[*]"', "$.plan[*] is not a single place"),
    P("a number comes from several places", "FanOutParts", "$.plan.concurrency", "$.plan..concurrency",
      "can match several"),
    P("a Fail state calls what it may not", "PartFailed", "States.JsonToString(", "States.ArrayLength(",
      "States.ArrayLength is not allowed here"),
    # JSON, substitutions, permissions
    P("the JSON is broken", "definition", '"ResultPath": null,', '"ResultPath": null', "is not JSON: Expecting ','",
      after='"RecordFailed": {', at='"Retry": ['),
    P("a text stands without quotes", "definition", "${PartTimeoutSeconds}", "${ExportsTable}", "is not JSON",
      after='"GeneratePart": {'),
    P("the Map may not read its items", "FanOutParts", "${ExportsBucket}", "elsewhere",
      "allow s3:GetObject on elsewhere/", at='"ItemReader"'),
    P("a substitution is not defined", "RecordRunning", "${ExportsTable}", "${ExportTable}",
      "nothing defines ${ExportTable}"),
    P("an ARN is of one partition only", "SendToDeadLetters", "arn:${Partition}:", "arn:aws:",
      "arn:aws: fixes the partition, but the stack may be in another"),
    P("the record may not be written so", "RecordPartFailure", "updateItem", "putItem",
      "does not allow dynamodb:PutItem"),
    P("an integration is new", "SendToDeadLetters", "sqs:sendMessage", "sns:publish",
      "does not allow sns:Publish on a resource"),
]  # fmt: skip

LETTERS = """- Sid: SendDeadLetters
                Effect: Allow
                Action: sqs:SendMessage
                Resource: !GetAtt DeadLetters.Arn"""
SOME_LETTERS = """- !If
                - HasBucketKey
                - {Sid: SendDeadLetters, Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt DeadLetters.Arn}
                - !Ref AWS::NoValue"""

IN_THE_TEMPLATE = [
    T("a parameter lets a Task outlive the machine", "GeneratePart", "Default: 300", "Default: 3600",
      "its timeout of 3600 s is not below the machine's", "  PartTimeoutSeconds:\n",
      '"TimeoutSeconds": ${PartTimeoutSeconds}'),
    T("a function runs longer than its Task", "AssembleFile", "Timeout: 900", "Timeout: 901",
      "AssembleFile can run 901 s", "Handler: assemble_file.app.handler", '"TimeoutSeconds": 900'),
    T("a substitution is not used", "ReportExport", "DeadLettersUrl", "Unused: 1\n        DeadLettersUrl",
      "the definition never uses ${Unused}", "DefinitionSubstitutions:"),
    T("a letter may not be sent", "SendToDeadLetters", "DeadLetters.Arn", "Unannounced.Arn",
      "does not allow sqs:SendMessage on ${DeadLetters.Arn}", "Sid: SendDeadLetters", "sqs:sendMessage"),
    T("a letter may be sent by some stacks only", "SendToDeadLetters", LETTERS, SOME_LETTERS,
      "does not allow sqs:SendMessage on ${DeadLetters.Arn}", "  ReportExportRole:\n", "sqs:sendMessage"),
    T("the Map may not write its results", "FanOutParts", ", s3:AbortMultipartUpload", "",
      "does not allow s3:AbortMultipartUpload on", "Sid: WriteTheMapsResults", "ResultWriter"),
    T("the Map may not start its children", "FanOutParts", "-report-export", "-reports",
      "does not allow states:StartExecution on", "Sid: StartTheMapsChildren", '"FanOutParts": {'),
    T("the Map may not watch its children", "FanOutParts", "states:DescribeExecution, ", "",
      "does not allow states:DescribeExecution on", "Sid: WatchAndStopTheMapsChildren", '"FanOutParts": {'),
    T("the role is another's", "ReportExport", "!GetAtt ReportExportRole.Arn", "arn:aws:iam::123456789012:role/any",
      "its Role is not a role of this template"),
]  # fmt: skip

IN_THE_TABLE = [
    D("a timeout is another", "PlanParts", "300 s", "600 s", "says: 600 s. Write 300 s", "| PlanParts |"),
    D("a parameter is another", "GeneratePart", "PartTimeout", "MachineTimeout", "Write `PartTimeoutSeconds`", "· Gen"),
    D("a Retry is another", "AssembleFile", "× 4", "× 5", "Write Lambda faults × 4 (2–30 s); Lambda timeouts × 1",
      "| Ass"),
    D("a wait is another", "SendToDeadLetters", "20 s", "30 s", "Write SQS faults × 5 (1–20 s)",
      "| SendToDeadLetters |"),
    D("a Catch is another", "RecordRunning", "Superseded", "PlanParts",
      "Write condition failed → Superseded; else → RecordRunning"),
    D("an error that is not caught is", "RecordSucceeded", "else fails", "else → RecordFailed",
      "Superseded; else fails"),
    D("the next state is another", "FanOutParts", "| AssembleFile", "| ExportFailed", "Write AssembleFile",
      "| FanOutParts"),
    D("a state is not inside of the Map", "PartFailed", "· PartFailed", "PartFailed", "Write · PartFailed"),
    D("a state has no row", "Superseded", "Succeeded, Superseded", "Succeeded",
      "no row for it. Add: | Superseded | … | – |",
      at="ExportFailed"),
    D("a row has no state", "Cancelled", "Succeeded, Superseded", "Succeeded, Superseded, Cancelled",
      "has no such state"),
    D("errors are named that nothing meets", "S3 faults", "| condition failed | ",
      "| S3 faults | `S3.X` |\n| condition failed | ", "no state"),
]  # fmt: skip


def test_the_workflow_of_this_project_has_no_faults() -> None:
    assert faults(TEXTS) == []


@pytest.mark.parametrize("plant", [*IN_THE_DEFINITION, *IN_THE_TEMPLATE, *IN_THE_TABLE], ids=lambda plant: plant.name)
def test_a_planted_fault_is_found_and_nothing_else(plant: Plant) -> None:
    texts = plant.into(TEXTS)
    # What makes the definition wrong makes it differ from the table too.
    found = [fault for fault in faults(texts) if plant.file == DESCRIBED or fault.file != DESCRIBED]
    assert [fault.place for fault in found] == [plant.place], found
    assert plant.says in str(found[0])
    line = texts[found[0].file].splitlines()[found[0].line - 1]
    assert (plant.at or plant.new.splitlines()[0]) in line


def test_what_changes_in_the_definition_must_change_in_the_table() -> None:
    changed = TEXTS | {DEFINITION: TEXTS[DEFINITION].replace('"MaxAttempts": 8', '"MaxAttempts": 9')}
    (fault,) = faults(changed)
    assert fault.place == "GeneratePart"
    assert "Write Lambda faults, `SourceUnavailable` × 9 (2–60 s); Lambda timeouts × 1" in fault.remedy


def test_a_template_without_this_definition_is_told() -> None:
    moved = TEXTS | {TEMPLATE: TEXTS[TEMPLATE].replace(f"DefinitionUri: {DEFINITION}", "DefinitionUri: elsewhere.json")}
    (fault,) = faults(moved)
    assert f"no state machine has the DefinitionUri {DEFINITION}" in str(fault)


@pytest.mark.parametrize("name", ["RecordSucceeded", "RecordFailed", "Superseded"])
def test_the_states_that_the_outcome_depends_on_must_be_there(name: str) -> None:
    renamed = TEXTS | {DEFINITION: TEXTS[DEFINITION].replace(f'"{name}"', f'"{name}Too"')}
    assert f"there is no state {name}" in [fault.wrong for fault in faults(renamed)]


WORKERS = tuple(re.findall(r'"\$\{(\w+)Function\}"', TEXTS[DEFINITION]))
FUNCTION, VERSION = "!GetAtt NAME.Arn", "!Ref NAME.Version"


def calling(called: str, allowed: str, functions: tuple[str, ...] = WORKERS) -> dict[str, str]:
    """The machine calls its functions in one way, and its role may call functions in another."""
    text = TEXTS[TEMPLATE]
    for name in WORKERS:
        text = re.sub(rf"({name}Function): .*", rf"\1: {called.replace('NAME', name)}", text)
    resources = ", ".join(allowed.replace("NAME", name) for name in functions)
    grant = f"Sid: InvokeTheWorkers, Effect: Allow, Action: lambda:InvokeFunction, Resource: [{resources}]"
    text, count = re.subn(r"Sid: InvokeTheWorkers(?s:.*?)(?=\n *- Sid:)", f"{{{grant}}}", text)
    assert count == 1
    return TEXTS | {TEMPLATE: text}


@pytest.mark.parametrize(
    ("called", "allowed"),
    [
        (FUNCTION, FUNCTION),
        ("!Ref NAME", FUNCTION),
        ("!Sub ${NAME.Arn}", '!Sub "${NAME.Arn}*"'),
        (VERSION, VERSION),
        (VERSION, '!Sub "${NAME.Arn}:*"'),
        ("!Ref NAME.Alias", "!Sub '${NAME.Alias}'"),
    ],
)
def test_functions_may_be_called_by_name_version_and_alias(called: str, allowed: str) -> None:
    assert faults(calling(called, allowed)) == []


@pytest.mark.parametrize(("called", "allowed"), [(VERSION, FUNCTION), (FUNCTION, '!Sub "${NAME.Arn}:*"')])
def test_a_version_and_its_function_need_each_a_permission_of_its_own(called: str, allowed: str) -> None:
    found = faults(calling(called, allowed))
    assert [fault.place for fault in found] == [*WORKERS, *["ReportExportRole"] * len(WORKERS)]
    assert all(
        "ReportExportRole does not allow lambda:InvokeFunction on" in fault.wrong for fault in found[: len(WORKERS)]
    )
    assert all("which no state calls" in fault.wrong for fault in found[len(WORKERS) :])


def test_a_function_that_is_called_must_be_allowed() -> None:
    (fault,) = faults(calling(FUNCTION, FUNCTION, tuple(each for each in WORKERS if each != "GeneratePart")))
    assert (fault.place, fault.file) == ("GeneratePart", DEFINITION)
    assert fault.wrong == "ReportExportRole does not allow lambda:InvokeFunction on ${GeneratePart.Arn}"


def test_a_function_that_is_allowed_must_be_called() -> None:
    texts = calling(FUNCTION, FUNCTION, (*WORKERS, "ReadExports"))
    (fault,) = faults(texts)
    assert (fault.place, fault.file) == ("ReportExportRole", TEMPLATE)
    assert fault.wrong == "allows lambda:InvokeFunction on ${ReadExports.Arn}, which no state calls"
    assert "Sid: InvokeTheWorkers" in texts[TEMPLATE].splitlines()[fault.line - 1]


LINTED = [
    P("a number is out of bounds", "PlanParts", '"MaxAttempts": 4', '"MaxAttempts": -4',
      "-4 is less than the minimum of 0"),
    P("a field is unknown", "GeneratePart", '"TimeoutSeconds"', '"Timeout": 1, "TimeoutSeconds"',
      "'Timeout' was unexpected"),
    P("a type is unknown", "ExportFailed", '"Fail"', '"Failed"', "'Failed' is not one of"),
    P("a state leads nowhere", "RecordSucceeded", '"Next": "ExportSucceeded"\n', '"Comment": ""\n',
      "is a required property", at='"RecordSucceeded": {'),
]  # fmt: skip


def assert_found(tool: Callable[[Machine], list[Fault]], plants: list[Plant]) -> None:
    """Plants all faults at once, because a tool takes seconds: it finds each, with its state and line."""
    texts = TEXTS
    for plant in plants:
        texts = plant.into(texts)
    found = {fault.place: fault for fault in tool(Machine(texts[DEFINITION], document(texts[TEMPLATE], TEMPLATE)))}
    assert found.keys() == {plant.place for plant in plants}
    for plant in plants:
        assert plant.says in found[plant.place].wrong
        assert (plant.at or plant.new) in texts[DEFINITION].splitlines()[found[plant.place].line - 1]


def test_what_cfn_lint_finds_has_its_state_and_line() -> None:
    assert_found(tools.cfn_lint, LINTED)


VALIDATED = [
    P("a path is refused", "PlanParts", '"$.plan"', '"$.plan[*]"', 'must match format "asl_result_path"'),
    P("two fields exclude each other", "ExportFailed", '"Type"', '"Cause": "x", "Type"', "at most one of",
      at='"ExportFailed"'),
]  # fmt: skip


@pytest.mark.skipif(not (shutil.which("node") and tools.MODULES.is_dir()), reason="make check installs asl-validator")
@pytest.mark.parametrize("plant", VALIDATED, ids=lambda plant: plant.name)
def test_what_asl_validator_finds_has_its_state_and_line(plant: Plant) -> None:
    assert_found(tools.asl_validator, [plant])


def test_without_node_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert tools.asl_validator(Machine(TEXTS[DEFINITION], document(TEXTS[TEMPLATE], TEMPLATE))) == []
    assert capsys.readouterr().out == "asl-validator was not run: Node is not installed.\n"
