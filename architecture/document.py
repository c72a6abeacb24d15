"""docs/architecture.md: what the template and the workflow state, one fact a line, so that a change reads as a diff."""

from collections.abc import Iterable, Iterator
from typing import Any

from architecture import mermaid
from architecture.model import (
    ALARMS,
    FUNCTIONS,
    MACHINES,
    PIPES,
    QUEUES,
    RULES,
    Architecture,
    Resource,
    Trigger,
)
from architecture.policies import Statement
from architecture.values import number, pattern, shown
from architecture.workflow import Catch, Machine, State

_HEAD = """\
# Architecture

`make docs` generates this page from `template.yaml` and the state machine's definition. It states what runs, what
starts it, what it may do and why, and where its failures go. `${…}` and `Name.Arn` are references of the template; a
value in parentheses is a parameter's default. [Review a change](howto/review-a-change.md) compares two revisions.
"""
_CALLERS = {"NONE": "everybody", "AWS_IAM": "an IAM principal (AWS_IAM)"}
_STORES = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Cognito::UserPool", "AWS::Logs::LogGroup")


def text(architecture: Architecture) -> str:
    """The whole document."""
    sections: list[tuple[str, Iterable[str]]] = [
        ("## The system", [mermaid.system(architecture)]),
        ("## Routes", _routes(architecture)),
        ("## Functions", _functions(architecture)),
        ("## State machines", _machines(architecture)),
        ("## Queues", _queues(architecture)),
        ("## Events", _events(architecture)),
        ("## Data and logs", _stores(architecture)),
        ("## Policies of resources", _policies(architecture)),
        ("## Other alarms", _other_alarms(architecture)),
    ]
    parts = [_HEAD]
    for title, lines in sections:
        if written := list(lines):
            parts.append("\n".join([title, "", *written]).rstrip() + "\n")
    return "\n".join(parts)


def _routes(architecture: Architecture) -> Iterator[str]:
    yield from ("| route | function | who may call it |", "|---|---|---|")
    for each in architecture.routes:
        resource = architecture.resources[each.function].properties["Events"][each.event]
        path = (each.function, "Properties", "Events", each.event, "Properties", "Auth", "Authorizer")
        why = (
            architecture.document.comments.get(architecture.line(*path), "") if "Auth" in resource["Properties"] else ""
        )
        caller = _CALLERS.get(each.caller) or f"a caller whom {each.caller} accepts"
        reason = f": {why}" if why and each.is_open else ""
        yield f"| `{each.method} {each.path}` | {each.function} | {caller}{reason} |"


def _functions(architecture: Architecture) -> Iterator[str]:
    shared = ((architecture.data.get("Globals") or {}).get("Function", {}).get("Environment") or {}).get(
        "Variables", {}
    )
    if shared:
        yield from ("Each function also has these environment variables (`Globals`):", "")
        yield from (*(f"- `{key}`: {_code(architecture.value(shared[key]))}" for key in sorted(shared)), "")
    for each in architecture.of(*FUNCTIONS):
        yield from _entry(architecture, each)
        properties = each.properties
        timeout, memory = (architecture.value(properties.get(key, "AWS default")) for key in ("Timeout", "MemorySize"))
        yield f"- **Runs:** `{shown(properties.get('Handler'))}`, {timeout} s, {memory} MB"
        if layers := properties.get("Layers"):
            yield f"- **Layers:** {', '.join(map(shown, layers))}"
        yield from _triggers(architecture, each.name)
        yield from (f"- **Failures:** {failure}" for failure in _failures(architecture, each))
        yield from _alarms(architecture, each.name)
        variables = (properties.get("Environment") or {}).get("Variables") or {}
        own = sorted(key for key, value in variables.items() if shared.get(key) != value)
        yield from _list("Environment", (f"`{key}`: {_code(architecture.value(variables[key]))}" for key in own))
        yield from _permissions(architecture, each.name)
        yield ""


def _triggers(architecture: Architecture, name: str) -> Iterator[str]:
    found = [each for each in architecture.triggers if each.target == name]
    yield from _list("Triggers", (_trigger(each) for each in found)) if found else ["- **Triggers:** none"]


def _trigger(trigger: Trigger) -> str:
    words = {"authorizer": "checks the callers of the API, as", "SQS": "messages of", "state": "the state"}
    name = f"{trigger.event}: " if trigger.event else ""
    return f"{name}{words.get(trigger.kind, trigger.kind)} `{trigger.what}`"


def _failures(architecture: Architecture, function: Resource) -> Iterator[str]:
    """Where an error of a function goes, by how it is called."""
    kinds = {each.kind for each in architecture.triggers if each.target == function.name}
    if "route" in kinds:
        yield "the caller gets the error"
    if "authorizer" in kinds:
        yield "API Gateway refuses the call"
    for trigger in architecture.triggers:
        if trigger.kind == "state" and trigger.target == function.name:
            machine, state = trigger.what.split(".", 1)
            yield f"the state `{trigger.what}`: {_briefly(architecture.machines[machine].states[state])}"
        elif trigger.kind == "SQS" and trigger.target == function.name and trigger.what in architecture.resources:
            redrive = architecture.resources[trigger.what].properties.get("RedrivePolicy", {})
            after = f"after {redrive.get('maxReceiveCount')} receives goes to"
            queue = ", ".join(architecture.dead_letters(trigger.what))
            yield f"the message returns to `{trigger.what}`, and {after} {queue}"
    if letters := architecture.dead_letters(function.name):
        attempts = (function.properties.get("EventInvokeConfig") or {}).get("MaximumRetryAttempts", 2)
        yield f"Lambda retries an asynchronous event {attempts} times; what still fails goes to {', '.join(letters)}"


def _briefly(state: State) -> str:
    retried = " and ".join(f"× {each.attempts}" for each in state.retries)
    caught = "; ".join(_caught(each) for each in state.catches) or "the execution fails"
    return f"{f'retries {retried}' if retried else 'no retry'}; then {caught}"


def _caught(catch: Catch) -> str:
    return f"{', '.join(catch.errors).replace('States.ALL', 'any error')} → {catch.target}"


def _alarms(architecture: Architecture, name: str) -> Iterator[str]:
    yield from _list("Alarms", (_alarm(architecture, each) for each in architecture.alarms.get(name, [])))


def _alarm(architecture: Architecture, alarm: Resource) -> str:
    properties = alarm.properties
    metrics = [each["Expression"] for each in properties.get("Metrics", []) if "Expression" in each]
    metric = metrics[0] if metrics else f"{properties.get('Statistic')} of {properties.get('MetricName')}"
    signs = {"GreaterThanOrEqualToThreshold": "≥", "GreaterThanThreshold": ">", "LessThanThreshold": "<"}
    sign = signs.get(str(properties.get("ComparisonOperator")), shown(properties.get("ComparisonOperator")))
    of = properties.get("EvaluationPeriods", 1)
    datapoints = properties.get("DatapointsToAlarm", of)
    stats = [each.get("MetricStat", {}).get("Period") for each in properties.get("Metrics", [])]
    period = properties.get("Period") or next((each for each in stats if each), "?")
    threshold = architecture.value(properties.get("Threshold"))
    periods = f"{period} s" if of == 1 else f"{datapoints} of {of} periods of {period} s"
    return f"{alarm.name}: {metric} {sign} {threshold} in {periods}{_if(alarm)}"


def _permissions(architecture: Architecture, name: str) -> Iterator[str]:
    yield from _list("Permissions", (_statement(architecture, each) for each in architecture.of_role(name)))


def _statement(architecture: Architecture, statement: Statement) -> str:
    where = []
    for guards, resource in statement.resources:
        where.append(_code(_arn(resource)) + (f" if {' and '.join(sorted(guards))}" if guards else ""))
    limits = [f"only with {each}" for each in sorted(map(str, statement.limits))]
    limits += [f"only if {each}" for each in sorted(statement.guards)]
    whom = [_code(each) for each in statement.principals]
    said = [
        f"**{statement.sid or 'without a Sid'}**:",
        *(
            [f"denies {', '.join(whom)}"]
            if statement.data.get("Effect") == "Deny"
            else [", ".join(whom)]
            if whom
            else []
        ),
        ", ".join(map(_code, statement.actions)),
        f"on {', '.join(where)}" if where else "",
        f"({'; '.join(limits)})" if limits else "",
    ]
    reason = architecture.reason(statement)
    return " ".join(each for each in said if each) + (f". {_sentence(reason)}" if reason else "")


def _arn(resource: str) -> str:
    """A resource, shorter if it is only a reference."""
    return resource[2:-1] if resource.startswith("${") and resource.find("}") == len(resource) - 1 else resource


def _machines(architecture: Architecture) -> Iterator[str]:
    for each in architecture.of(*MACHINES):
        machine = architecture.machines.get(each.name)
        yield from _entry(architecture, each)
        if machine:
            yield f"- **Runs:** `{machine.document.file}`, at most {_seconds(architecture, machine, machine.timeout)}"
        logging = each.properties.get("Logging", {})
        data = "with" if logging.get("IncludeExecutionData") else "without"
        yield f"- **Logs:** {shown(logging.get('Level', 'off'))}, {data} execution data"
        yield from _alarms(architecture, each.name)
        yield from _permissions(architecture, each.name)
        if machine:
            yield from ("", mermaid.machine(machine), "")
            for state in machine.states.values():
                yield from _state(architecture, machine, state)
        yield ""


def _state(architecture: Architecture, machine: Machine, state: State) -> Iterator[str]:
    said = [machine.does(state)]
    if state.timeout is not None:
        said.append(_seconds(architecture, machine, state.timeout))
    said += [f"{f'{condition} ' if condition else ''}→ {target}" for condition, target in state.next]
    said += ["ends"] if state.data.get("End") else []
    yield f"- **{f'{state.inside} / ' if state.inside else ''}{state.name}**: {'; '.join(said)}"
    for retry in state.retries:
        yield f"  - retries × {retry.attempts} ({retry.waits}): {', '.join(map(_code, retry.errors))}"
    for catch in state.catches:
        yield f"  - catches {_caught(catch)}"
    if state.may_fail and not state.retries:
        yield "  - retries nothing"


def _seconds(architecture: Architecture, machine: Machine, value: Any) -> str:
    return f"{architecture.value(machine.symbol(value))} s" if value is not None else "no timeout"


def _queues(architecture: Architecture) -> Iterator[str]:
    for each in architecture.of(*QUEUES):
        properties = each.properties
        yield from _entry(architecture, each)
        days = number(properties.get("MessageRetentionPeriod", 345600), architecture.parameters)
        yield f"- **Keeps messages:** {days / 86400:g} days" if days else "- **Keeps messages:** unknown"
        yield f"- **Visibility timeout:** {architecture.value(properties.get('VisibilityTimeout', 30))} s"
        encrypted = (
            "KMS" if "KmsMasterKeyId" in properties else "SQS" if properties.get("SqsManagedSseEnabled") else "nobody"
        )
        yield f"- **Encrypted by:** {encrypted}"
        yield f"- **Gets from:** {', '.join(architecture.sent_to(each.name)) or 'nothing in the template'}"
        if redrive := properties.get("RedrivePolicy"):
            target = shown(redrive.get("deadLetterTargetArn"))
            yield f"- **Failures:** after {redrive.get('maxReceiveCount')} receives to {target}"
        yield from _alarms(architecture, each.name)
        yield ""


def _events(architecture: Architecture) -> Iterator[str]:
    for each in architecture.of("AWS::Events::EventBus", *PIPES, *RULES, "AWS::SNS::Topic"):
        yield from _entry(architecture, each)
        for key, label in (("Source", "From"), ("EventBusName", "On"), ("EventPattern", "Pattern"), ("Target", "To")):
            if key in each.properties:
                yield f"- **{label}:** {_code(shown(each.properties[key]))}"
        for target in each.properties.get("Targets", []):
            yield f"- **To:** {_code(shown(target.get('Arn')))}"
        for parameters in (each.properties.get("SourceParameters") or {}).values():
            if isinstance(parameters, dict) and "MaximumRetryAttempts" in parameters:
                yield f"- **Retries:** {parameters['MaximumRetryAttempts']}"
        if letters := architecture.dead_letters(each.name):
            yield f"- **Failures:** to {', '.join(letters)}"
        yield from _alarms(architecture, each.name)
        yield from _permissions(architecture, each.name) if each.type in PIPES else []
        yield ""


def _stores(architecture: Architecture) -> Iterator[str]:
    for each in architecture.of(*_STORES):
        if each.kind == "LogGroup":
            continue
        yield from _entry(architecture, each)
        yield f"- **If the stack is deleted:** {each.settings.get('DeletionPolicy', 'Delete')}"
        for key in (
            "PublicAccessBlockConfiguration",
            "BucketEncryption",
            "SSESpecification",
            "PointInTimeRecoverySpecification",
            "TimeToLiveSpecification",
            "StreamSpecification",
        ):
            if key in each.properties:
                yield f"- **{key}:** {_code(shown(each.properties[key]))}"
        rules = each.properties.get("LifecycleConfiguration", {}).get("Rules", [])
        yield from _list("Lifecycle", (_code(shown(rule)) for rule in rules))
        yield ""
    groups = list(architecture.of("AWS::Logs::LogGroup"))
    if groups:
        yield from ("### Log groups", "")
        yield from (f"- {each.name}: {_days(architecture, each)}{_if(each)}" for each in groups)


def _days(architecture: Architecture, group: Resource) -> str:
    days = group.properties.get("RetentionInDays")
    return f"{architecture.value(days)} days" if days is not None else "for ever"


def _policies(architecture: Architecture) -> Iterator[str]:
    """What resources' own policies allow or deny."""
    for statement in architecture.statements:
        holder = architecture.resources[statement.holder]
        if holder.type != "AWS::IAM::Role" and statement.principals:
            yield f"- {holder.name}: {_statement(architecture, statement)}"
    for each in architecture.of("AWS::Lambda::Permission"):
        source = each.properties.get("SourceArn")
        invoked = (
            f"{pattern(each.properties.get('Principal', '*'))} may invoke {shown(each.properties.get('FunctionName'))}"
        )
        yield f"- {each.name}: {invoked}{f' for `{pattern(source)}`' if source else ''}"


def _other_alarms(architecture: Architecture) -> Iterator[str]:
    shown_elsewhere = {*FUNCTIONS, *MACHINES, *QUEUES, *PIPES, *RULES, "AWS::Events::EventBus", "AWS::SNS::Topic"}
    told = {
        alarm.name
        for name, alarms in architecture.alarms.items()
        for alarm in alarms
        if name and architecture.resources[name].type in shown_elsewhere
    }
    yield from (f"- {_alarm(architecture, each)}" for each in architecture.of(*ALARMS) if each.name not in told)


def _entry(architecture: Architecture, resource: Resource) -> Iterator[str]:
    yield from (f"### {resource.name}", "")
    about = architecture.about(resource.name) or shown(resource.properties.get("Description", ""))
    if about := _sentence(about):
        yield from (about, "")
    if resource.condition:
        yield f"- **Exists:** if {resource.condition}"


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if found:
        yield f"- **{title}:**"
        yield from (f"  - {each}" for each in found)


def _if(resource: Resource) -> str:
    return f", if {resource.condition}" if resource.condition else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"
