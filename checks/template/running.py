"""Rules so that failures are seen and nothing is lost: queues, event sources, functions, state machine, log groups."""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

from checks import Fault
from checks.repository import named_below, reference, references
from checks.template.permissions import listed, statements_in
from checks.template.stack import Stack

QUEUE = "AWS::SQS::Queue"
LOG_GROUP = "AWS::Logs::LogGroup"
FUNCTION = "AWS::Lambda::Function"
MACHINE = "AWS::StepFunctions::StateMachine"

SENDERS = {"aws:SourceArn", "aws:SourceAccount"}
"""The keys of a condition that refuses the rules of other accounts."""

DEAD_LETTERS = ("DeadLetterConfig", "OnFailure", "RedrivePolicy")
"""Properties that name the target for what could not be delivered or processed."""


def queues(stack: Stack) -> Iterator[Fault]:
    """Each queue has a dead-letter queue, or is a dead-letter queue with an alarm."""
    # The state machine sends its own dead letters to the queue of its substitutions DeadLetters…
    substitutions = [machine.get("DefinitionSubstitutions", {}).items() for _, machine in stack.of(MACHINE)]
    own = {reference(value) for each in substitutions for key, value in each if key.startswith("DeadLetters")}
    targets = own | named_below([*stack.deployed.values()], *DEAD_LETTERS)
    watched = _watched(stack, "ApproximateNumberOfMessagesVisible", "QueueName")
    for name, queue in stack.of(QUEUE):
        if "RedrivePolicy" in queue:
            continue
        if name not in targets:
            remedy = "Add RedrivePolicy: {deadLetterTargetArn: …, maxReceiveCount: …}"
            yield stack.fault(name, "has no dead-letter queue and is not one itself", remedy)
        elif name not in watched:
            alarm = "an AWS::CloudWatch::Alarm on ApproximateNumberOfMessagesVisible"
            remedy = f"Add {alarm}, dimension QueueName: !GetAtt {name}.QueueName"
            yield stack.fault(name, "is a dead-letter queue without an alarm", remedy)


def event_sources(stack: Stack) -> Iterator[Fault]:
    """Each event that cannot be delivered or processed goes to a dead-letter queue."""
    for name, pipe in stack.of("AWS::Pipes::Pipe"):
        for kind in {"DynamoDBStreamParameters", "KinesisStreamParameters"} & pipe.get("SourceParameters", {}).keys():
            source = pipe["SourceParameters"][kind]
            yield from _stream(stack, name, source, "DeadLetterConfig", "Properties", "SourceParameters", kind)
    for name, mapping in stack.of("AWS::Lambda::EventSourceMapping"):
        if "StartingPosition" in mapping:  # only a stream has one; a queue has a dead-letter queue of its own
            yield from _stream(stack, name, mapping, "DestinationConfig", "Properties", "Events", _event(stack, name))
    asynchronous = {}
    for name, rule in stack.of("AWS::Events::Rule", "AWS::Scheduler::Schedule"):
        for target in rule.get("Targets", [rule.get("Target", {})]):
            asynchronous[reference(target.get("Arn"))] = event = _event(stack, name)
            if not named_below(target, "DeadLetterConfig"):
                wrong = f"{event} loses the events that it cannot deliver"
                remedy = "Add DeadLetterConfig: {Arn: !GetAtt <queue>.Arn}"
                yield stack.fault(name, wrong, remedy, "Properties", "Events", event)
    configured = [each for _, each in stack.of("AWS::Lambda::EventInvokeConfig") if named_below(each, *DEAD_LETTERS)]
    safe = {reference(each["FunctionName"]) for each in configured}
    for name, function in stack.of(FUNCTION):
        if name in asynchronous and name not in safe and not named_below(function, *DEAD_LETTERS):
            wrong = f"is invoked asynchronously by {asynchronous[name]} and loses the event if it fails"
            remedy = "Add EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS, Destination: …}}}"
            yield stack.fault(name, wrong, remedy)


def consumers(stack: Stack) -> Iterator[Fault]:
    """A message of a queue comes again if its function failed on it, and not before the function has ended."""
    for name, mapping in stack.of("AWS::Lambda::EventSourceMapping"):
        queue, function = (reference(mapping.get(key)) or "" for key in ("EventSourceArn", "FunctionName"))
        if not stack.has(queue, QUEUE):
            continue
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            event = _event(stack, name)
            wrong = f"{event} loses the messages that the function returns in batchItemFailures"
            remedy = "Add FunctionResponseTypes: [ReportBatchItemFailures]"
            yield stack.fault(name, wrong, remedy, "Properties", "Events", event)
        # A function of another stack is not in this template.
        timeout = stack.deployed.get(function, {}).get("Properties", {}).get("Timeout")
        visible = stack.deployed[queue]["Properties"].get("VisibilityTimeout", 30)
        # "Configuring a queue to use with Lambda", Lambda developer guide
        if isinstance(timeout, int) and isinstance(visible, int) and visible < 6 * timeout:
            wrong = f"shows a message again after {visible} s, but {function} may take {timeout} s for a batch"
            remedy = f"Write VisibilityTimeout: {6 * timeout}, six times the function's Timeout"
            yield stack.fault(queue, wrong, remedy, "Properties", "VisibilityTimeout")


def senders(stack: Stack) -> Iterator[Fault]:
    """A policy lets each rule send to the queues that it names, and lets no rule of another account send."""
    rules = dict(stack.of("AWS::Events::Rule"))
    allowed: set[tuple[str, str]] = set()
    for name, policy in stack.of("AWS::SQS::QueuePolicy"):
        for path, statement in statements_in(policy["PolicyDocument"], ("Properties", "PolicyDocument")):
            if not _lets_rules_send(statement):
                continue
            conditions = [each for each in statement.get("Condition", {}).values() if SENDERS & each.keys()]
            if not conditions:
                remedy = 'Add Condition: {ArnEquals: {"aws:SourceArn": !GetAtt <rule>.Arn}}'
                yield stack.fault(name, "lets the rules of every account send", remedy, *path)
            queues, own = ({each for _, each in references(value)} for value in (policy["Queues"], statement))
            # A statement may refer to no queue, but write its ARN; its condition to no rule, but to the account.
            named = {each for each in own if stack.has(each, QUEUE)} or queues
            there = [each for each in own & rules.keys() or rules if _is_deployed_with(stack, name, each)]
            allowed |= set(product(queues & named, there))
    for name, rule in rules.items():
        targets = [target.get(key) for target in rule.get("Targets", []) for key in ("Arn", "DeadLetterConfig")]
        for queue in sorted({each for _, each in references(targets)}):
            if stack.has(queue, QUEUE) and (queue, name) not in allowed:
                wrong = f"has no policy that lets {name} send to it, so EventBridge drops the events"
                remedy = "Let events.amazonaws.com send in an AWS::SQS::QueuePolicy, "
                remedy += f"if aws:SourceArn is !GetAtt {name}.Arn"
                yield stack.fault(queue, wrong, remedy)


def _is_deployed_with(stack: Stack, name: str, other: str) -> bool:
    """Whether a resource has no condition, or that of the other one."""
    return stack.deployed[name].get("Condition") in (None, stack.deployed[other].get("Condition"))


def _lets_rules_send(statement: dict[str, Any]) -> bool:
    """Whether a statement of a queue's policy lets EventBridge send, whatever its condition."""
    principal = statement.get("Principal")
    services = listed(principal.get("Service")) if isinstance(principal, dict) else []
    sends = "sqs:SendMessage" in listed(statement.get("Action"))
    return statement["Effect"] == "Allow" and sends and "events.amazonaws.com" in services


def functions(stack: Stack) -> Iterator[Fault]:
    """Each function has a timeout, a memory size, tracing, a log group of the stack, and an alarm."""
    watched = _watched(stack, "Errors", "FunctionName")
    for name, function in stack.of(FUNCTION):
        for key in ("Timeout", "MemorySize"):
            if key not in function:
                yield stack.fault(name, f"has no {key}", f"Add {key} here or to Globals")
        if function.get("TracingConfig", {}).get("Mode") != "Active":
            yield stack.fault(name, "is not traced", "Write Tracing: Active", "Properties", "Tracing")
        if not stack.has(reference(function.get("LoggingConfig")), LOG_GROUP):
            remedy = "Add a log group and LoggingConfig: {LogGroup: !Ref <log group>}"
            yield stack.fault(name, "names no log group of this template", remedy, "Properties", "LoggingConfig")
        if name not in watched:
            remedy = f"Add an AWS::CloudWatch::Alarm on Errors, dimension FunctionName: !Ref {name}"
            yield stack.fault(name, "has no alarm, so failures can go unnoticed", remedy)


def machines(stack: Stack) -> Iterator[Fault]:
    """Each state machine has tracing and logs to a log group of the stack."""
    for name, machine in stack.of(MACHINE):
        if machine.get("TracingConfiguration", {}).get("Enabled") is not True:
            yield stack.fault(name, "is not traced", "Write Tracing: {Enabled: true}", "Properties", "Tracing")
        logging = machine.get("LoggingConfiguration", {})
        if logging.get("Level") not in ("ALL", "ERROR", "FATAL") or not stack.has(reference(logging), LOG_GROUP):
            remedy = "Write Logging: {Level: ERROR, Destinations: …} with a log group"
            yield stack.fault(name, "does not log to a log group of this template", remedy, "Properties", "Logging")


def log_groups(stack: Stack) -> Iterator[Fault]:
    """Each log group expires its logs and belongs to one resource only."""
    loggers = Counter(reference(each.get("LoggingConfig")) for _, each in stack.of(FUNCTION))
    loggers.update(reference(each.get("LoggingConfiguration")) for _, each in stack.of(MACHINE))
    for name, group in stack.of(LOG_GROUP):
        if "RetentionInDays" not in group:
            yield stack.fault(name, "keeps logs forever", "Add RetentionInDays")
        if loggers[name] > 1:
            yield stack.fault(
                name, f"is the log group of {loggers[name]} resources", "Give each a log group of its own"
            )


def _stream(stack: Stack, name: str, source: dict[str, Any], key: str, *path: str) -> Iterator[Fault]:
    if not named_below(source, *DEAD_LETTERS):
        yield stack.fault(name, "loses the changes that it cannot deliver", f"Add {key} with a queue", *path)
    if source.get("MaximumRetryAttempts", -1) == -1:
        wrong = "retries a change until it expires, and all later changes wait"
        yield stack.fault(name, wrong, "Add MaximumRetryAttempts: 20", *path)


def _event(stack: Stack, name: str) -> str:
    """The name that a function gives the event from which SAM made the resource, or the resource's own name."""
    return name.removeprefix(stack.origin(name)) or name


def _watched(stack: Stack, metric: str, dimension: str) -> set[str | None]:
    """The resources that the alarms on a metric watch."""
    watched = set()
    for _, alarm in stack.of("AWS::CloudWatch::Alarm"):
        of_expression = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
        for each in (alarm, *of_expression):
            if each.get("MetricName") == metric:
                watched |= {
                    reference(each["Value"]) for each in each.get("Dimensions", []) if each["Name"] == dimension
                }
    return watched


RULES = (queues, event_sources, consumers, senders, functions, machines, log_groups)
