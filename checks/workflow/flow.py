"""Checks what the states read: every path parses, and its field exists on every route to the state."""

from typing import Any

from checks import Fault
from checks.workflow import paths
from checks.workflow.machine import Machine, Scope, State, Where

Shape = dict[str, Any] | None
"""The fields that a value certainly has, each with its own shape; None if nothing is known about the value."""


def fields(*names: str, **known: Shape) -> dict[str, Shape]:
    """Fields with unknown values (names), and fields with known shapes (keywords)."""
    return {**dict.fromkeys(names), **known}


INPUT = fields("owner", "export_id", "attempt")
CAUGHT = fields("Error", "Cause")
RESULTS = {
    "arn:aws:states:::lambda:invoke": fields("Payload", "StatusCode", "ExecutedVersion", "FunctionError", "LogResult"),
    "arn:aws:states:::dynamodb:updateItem": fields("Attributes", "ConsumedCapacity", "ItemCollectionMetrics"),
}
"""The fields in the answers of the services (Lambda API reference, Invoke; DynamoDB API reference, UpdateItem)."""
CONTEXT = fields(
    Execution=fields("Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount", "RedriveTime"),
    State=fields("EnteredTime", "Name", "RetryCount"),
    StateMachine=fields("Id", "Name"),
    Task=fields("Token"),
)
"""The Context object ("Accessing execution data from the Context object in Step Functions")."""
CONTEXT_OF_ITEM = CONTEXT | fields(Map=fields(Item=fields("Index", "Key", "Value", "Source")))
"""The Context object in an ItemSelector; only there it has Map (same page, "Context object data for Map states")."""
IN_FAIL = ("Format", "JsonToString", "ArrayGetItem", "Base64Encode", "Base64Decode", "Hash", "UUID")
"""The intrinsic functions that ErrorPath and CausePath allow ("Fail workflow state")."""


def faults(machine: Machine) -> list[Fault]:
    """Paths that do not parse, and paths to fields that may not exist."""
    flow = _Flow(machine)
    flow.along(machine.scopes[0], INPUT)
    return list(flow.faults.values())


class _Flow:
    """Follows the data from state to state."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.faults: dict[Where, Fault] = {}

    def along(self, scope: Scope, start: Shape) -> None:
        """Follows every route through a scope; repeats a state if it can be entered with fewer fields than before."""
        entered = {scope.start: start}
        todo = [scope.start] if scope.start in scope.states else []
        while todo:
            state = scope.states[todo.pop()]
            left, caught = self._through(state, entered[state.name])
            for edge in scope.edges():
                if edge.source == state.name and edge.target in scope.states:
                    new = caught[int(edge.where[-2])] if edge.errors else left
                    both = _common(entered[edge.target], new) if edge.target in entered else new
                    if edge.target not in entered or both != entered[edge.target]:
                        entered[edge.target] = both
                        todo.append(edge.target)

    def _through(self, state: State, entered: Shape) -> tuple[Shape, list[Shape]]:
        """The shapes of a state's output without an error, and by each Catch."""
        data, where = state.data, state.where
        read = self._selected(state, "InputPath", entered)
        for key, value in data.items():
            if key.endswith("Path") and key not in ("InputPath", "ResultPath", "OutputPath"):
                allowed = IN_FAIL if state.type == "Fail" else ()
                self._expression(value, read, (*where, key), allowed=allowed, reference=True)
            elif key in ("ItemReader", "ItemBatcher", "ResultWriter"):
                self._template(value, read, (*where, key))
        for index, choice in enumerate(data.get("Choices", [])):
            self._choice(choice, read, (*where, "Choices", index))
        result = self._template(data["Parameters"], read, (*where, "Parameters")) if "Parameters" in data else read
        self._inside(state, result)
        if state.may_fail or "Result" in data:
            result = RESULTS.get(str(data.get("Resource")))
        if "ResultSelector" in data:
            result = self._template(data["ResultSelector"], result, (*where, "ResultSelector"))
        caught = [
            self._with_result(catch, (*where, "Catch", index), entered, CAUGHT)
            for index, catch in enumerate(data.get("Catch", []))
        ]
        return self._selected(state, "OutputPath", self._with_result(data, where, entered, result)), caught

    def _inside(self, state: State, read: Shape) -> None:
        """Checks the states inside a Map or a Parallel, with the input that it passes to them."""
        start = read if state.type == "Parallel" else None
        if "ItemSelector" in state.data:
            where = (*state.where, "ItemSelector")
            start = self._template(state.data["ItemSelector"], read, where, CONTEXT_OF_ITEM)
        for scope in self.machine.scopes:
            if scope.owner == state.where:
                self.along(scope, None if "ItemBatcher" in state.data else start)

    def _choice(self, choice: dict[str, Any], read: Shape, where: Where) -> None:
        for key, value in choice.items():
            for index, each in enumerate(value if key in ("And", "Or") else [value] if key == "Not" else []):
                self._choice(each, read, (*where, key, index))
            if (key == "Variable" and "IsPresent" not in choice) or key.endswith("Path"):
                self._expression(value, read, (*where, key), allowed=())

    def _template(self, value: Any, read: Shape, where: Where, context: Shape = CONTEXT) -> Shape:
        """The shape of a payload template's result."""
        if isinstance(value, str) and (value == "$" or value.startswith(("$.", "$$.", "States."))):
            self._fault(where, f"passes the literal text {value}", f"Name the field {where[-1]}.$ to evaluate it")
        if isinstance(value, list):
            for index, each in enumerate(value):
                self._template(each, read, (*where, index), context)
        if not isinstance(value, dict):
            return None
        shape: dict[str, Shape] = {}
        for key, each in value.items():
            name = key.removesuffix(".$")
            if name in shape:
                self._fault((*where, key), f"{name} and {name}.$ are the same field", "Keep one of them")
            evaluate = self._expression if key.endswith(".$") else self._template
            shape[name] = evaluate(each, read, (*where, key), context)
        return shape

    def _expression(
        self,
        text: Any,
        read: Shape,
        where: Where,
        context: Shape = CONTEXT,
        *,
        allowed: Any = paths.ARGUMENTS,
        reference: bool = False,
    ) -> Shape:
        """The shape of the result of a path, or of an allowed intrinsic function."""
        try:
            if not str(text).startswith("States."):
                return self._read(text, read, where, context, reference)
            name, read_by_it = paths.intrinsic(text)
            for path in read_by_it:
                self._read(path, read, where, context)
            if name not in allowed:
                raise paths.Wrong(f"States.{name} is not allowed here")
        except paths.Wrong as wrong:
            self._fault(
                where,
                str(wrong),
                "Write a path such as $.plan.name, or another value that AWS documents for this field",
            )
        return None

    def _read(self, text: Any, read: Shape, where: Where, context: Shape, reference: bool = False) -> Shape:
        """The shape of the value at a path."""
        if not str(text).startswith("$"):
            raise paths.Wrong(f"{text} is neither a path nor an intrinsic function")
        of_context = text.startswith("$$")
        path = text.removeprefix("$") if of_context else text
        names = paths.names(path)
        if reference and not paths.is_reference(path):
            raise paths.Wrong(f"{text} can match several values or none, which AWS does not allow here")
        shape = context if of_context else read
        for name in names:
            if shape is None:
                return None
            if name not in shape:
                wrong = "the Context object does not have here" if of_context else "does not exist on every route here"
                available = ", ".join(sorted(shape)) or "nothing"
                self._fault(where, f"reads {text}, which {wrong}", f"Available instead of {name}: {available}")
                return None
            shape = shape[name]
        return shape if path == ".".join(("$", *names)) else None

    def _selected(self, state: State, key: str, entered: Shape) -> Shape:
        path = state.data.get(key, "$")
        return {} if path is None else self._expression(path, entered, (*state.where, key), allowed=())

    def _with_result(self, data: dict[str, Any], where: Where, entered: Shape, result: Shape) -> Shape:
        """The shape that ResultPath makes from a state's input and its result."""
        text = data.get("ResultPath", "$")
        if text is None:
            return entered
        try:
            names = paths.names(text)
            if not paths.is_reference(text):
                raise paths.Wrong(f"{text} is not a single place in the state's input")
            return _put(entered, names, result)
        except paths.Wrong as wrong:
            self._fault((*where, "ResultPath"), str(wrong), "Write a reference path, such as $.plan")
        return None

    def _fault(self, where: Where, wrong: str, remedy: str) -> None:
        self.faults[where] = self.machine.fault(where, wrong, remedy)


def _common(one: Shape, other: Shape) -> Shape:
    """The fields that exist on both of two routes."""
    if one is None or other is None:
        return other if one is None else one
    return {name: _common(one[name], other[name]) for name in one if name in other}


def _put(into: Shape, names: tuple[str, ...], value: Shape) -> Shape:
    """A shape with another shape inserted at a path."""
    if not names:
        return value
    return None if into is None else {**into, names[0]: _put(into.get(names[0], {}), names[1:], value)}
