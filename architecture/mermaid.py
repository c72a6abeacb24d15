"""Diagrams in Mermaid, which GitHub renders: the system, and each state machine.

They use a small part of the language: nodes with an id and a quoted text, subgraphs, and arrows with a quoted text.
"""

import re
from collections.abc import Iterable

from architecture.model import APIS, FUNCTIONS, MACHINES, PIPES, QUEUES, RULES, Architecture
from architecture.values import pattern
from architecture.workflow import Machine, State

_STORES = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::Serverless::SimpleTable")
_SHOWN = (*FUNCTIONS, *MACHINES, *QUEUES, *PIPES, *APIS, *RULES, *_STORES, "AWS::Events::EventBus", "AWS::SNS::Topic")
_READS = re.compile(r":(Get|List|Query|Scan|Describe|BatchGet|Receive|Head)")
_QUIET = ("logs", "xray", "kms", "sts")
"""Services whose permissions the diagram leaves out, because nearly every resource has them."""
_SHAPES = {"Queue": ("[[", "]]"), "Bucket": ("[(", ")]"), "Table": ("[(", ")]"), "StateMachine": ("{{", "}}")}


def system(architecture: Architecture) -> str:
    """Everything that runs or stores, with what starts it, what it reads and writes, and where its failures go."""
    nodes = {each.name: each.kind for each in architecture.of(*_SHOWN)}
    texts: dict[str, str] = {}
    edges: dict[tuple[str, str], list[str]] = {}

    def edge(source: str, target: str, text: str) -> None:
        if source in nodes and target in nodes and source != target:
            labels = edges.setdefault((source, target), [])
            if text not in labels:
                labels.append(text)

    apis = [each.name for each in architecture.of(*APIS)]
    for trigger in architecture.triggers:
        match trigger.kind:
            case "route" | "authorizer":
                edge(next(iter(apis), ""), trigger.target, "routes" if trigger.kind == "route" else "checks callers")
            case "state":
                edge(trigger.what.partition(".")[0], trigger.target, "invokes")
            case "Schedule" | "ScheduleV2" | "EventBridgeRule":
                source = f"{trigger.target}{trigger.event}"
                nodes[source] = trigger.kind
                texts[source] = f"{trigger.event}<br>{trigger.what}" if "Schedule" in trigger.kind else trigger.event
                edge(source, trigger.target, "starts")
                for sender in trigger.sources:
                    edge(sender, source, "events")
            case "rule" | "pipe":
                edge(trigger.what, trigger.target, "sends")
            case _:
                edge(trigger.what, trigger.target, "messages")
    for each in architecture.of(*PIPES, *RULES):
        for key in ("Source", "EventBusName"):
            edge(
                architecture.named(pattern(each.properties.get(key, ""))),
                each.name,
                "changes" if key == "Source" else "events",
            )
    for name in [*nodes]:
        if name in architecture.resources:
            for queue in architecture.dead_letters(name):
                edge(name, queue, "failures")
    for grant in architecture.grants:
        service, target = grant.action.partition(":")[0], architecture.named(grant.resource)
        if (
            grant.effect == "Allow"
            and service not in _QUIET
            and grant.who in nodes
            and not {(grant.who, target), (target, grant.who)} & edges.keys()
        ):
            edge(grant.who, target, "")
    for (source, target), labels in edges.items():
        if labels == [""]:
            labels[:] = [_access(architecture, source, target)]
    connected = {name for pair in edges for name in pair}
    lines = [f"  {_node(name, texts.get(name, name), kind)}" for name, kind in nodes.items() if name in connected]
    lines += [
        f"  {_id(source)} -->|{_quoted(', '.join(labels))}| {_id(target)}" for (source, target), labels in edges.items()
    ]
    return _fenced("flowchart LR", lines)


def _access(architecture: Architecture, source: str, target: str) -> str:
    """What a resource does with another one, by its permissions."""
    actions = [
        each.action
        for each in architecture.grants
        if each.effect == "Allow" and each.who == source and architecture.named(each.resource) == target
    ]
    if target in architecture.machines:
        words = {"Start": "starts", "Stop": "stops"}
        return (
            " and ".join(word for verb, word in words.items() if any(f":{verb}" in each for each in actions)) or "reads"
        )
    return " and ".join(sorted({"reads" if _READS.search(each) else "writes" for each in actions}))


def machine(one: Machine) -> str:
    """The states of a machine and the edges between them; those of a caught error are dotted."""
    lines = [*_group(one, ""), f'  Start(["start"]) --> {_id(one.starts[""])}']
    for state in one.states.values():
        lines += [
            f"  {_id(state.name)} -->{f'|{_quoted(condition)}|' if condition else ''} {_id(target)}"
            for condition, target in state.next
        ]
        lines += [
            f"  {_id(state.name)} -.->|{_quoted(_errors(catch.errors))}| {_id(catch.target)}" for catch in state.catches
        ]
    return _fenced("flowchart TD", lines)


def _group(one: Machine, inside: str, indent: str = "  ") -> list[str]:
    lines = []
    for state in one.states.values():
        if state.inside == inside:
            lines.append(f"{indent}{_node(state.name, _label(one, state), state.type)}")
            if any(each.inside == state.name for each in one.states.values()):
                lines.append(f"{indent}subgraph {_id(state.name)}Inside[{_quoted(f'each item of {state.name}')}]")
                lines += _group(one, state.name, f"{indent}  ")
                lines.append(f"{indent}end")
                starts = [start for owner, start in one.starts.items() if owner.partition(" ")[0] == state.name]
                lines += [f"{indent}{_id(state.name)} --> {_id(start)}" for start in starts]
    return lines


def _label(one: Machine, state: State) -> str:
    does = one.does(state)
    return state.name if does == state.name else f"{state.name}<br>{does}"


def _errors(errors: Iterable[str]) -> str:
    texts = [
        each.rpartition(".")[2].removesuffix("Exception") if each != "States.ALL" else "any error" for each in errors
    ]
    return ", ".join(texts)


def _node(name: str, text: str, kind: str) -> str:
    first, last = _SHAPES.get(kind, ("([", "])") if kind in ("Succeed", "Fail") else ("[", "]"))
    return f"{_id(name)}{first}{_quoted(text)}{last}"


def _id(name: str) -> str:
    """An id that Mermaid accepts: letters and digits, and no word of its language such as ``end``."""
    plain = re.sub(r"\W", "_", name)
    return f"{plain}_" if plain.lower() in ("end", "graph", "subgraph", "style", "class", "click", "default") else plain


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'


def _fenced(kind: str, lines: list[str]) -> str:
    return "\n".join(["```mermaid", kind, *lines, "```"])
