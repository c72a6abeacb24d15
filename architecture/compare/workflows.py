"""State machines: states, edges, retries and timeouts, and failures that would no longer be recorded."""

from collections.abc import Iterator
from typing import Any

from architecture.model import Architecture
from architecture.rules import CATCH, EDGE, LIMIT, RETRY, RETRY_WEAKENED, STATE, SWALLOWED, TIMEOUT, Change, Rule
from architecture.values import Names, canonical, differences, number, shown
from architecture.workflow import Machine, State


def changes(old: Architecture, new: Architecture) -> Iterator[Change]:
    """The differences of the state machines that both have. A new or removed one is a difference of the resources."""
    for name in old.machines.keys() & new.machines.keys():
        yield from _Comparison(old, new, name).changes()


class _Comparison:
    def __init__(self, old: Architecture, new: Architecture, name: str) -> None:
        self.architectures = old, new
        self.old, self.new = old.machines[name], new.machines[name]
        self.names = _renames(self.old, self.new)
        """The new names of states, by the old ones."""
        self.before = {self.names.get(each, each): state for each, state in self.old.states.items()}
        self.same = [each for each in self.new.states if each in self.before]

    def changes(self) -> Iterator[Change]:
        yield from self._machine()
        yield from self._states()
        for name in self.same:
            yield from self._timeout(name)
            yield from self._retries(name)
            yield from self._catches(name)
            yield from self._edges(name)
            yield from self._rest(name)
        yield from self._recorders()

    def _machine(self) -> Iterator[Change]:
        before, after = (
            architecture.value(machine.symbol(machine.timeout))
            for architecture, machine in zip(self.architectures, (self.old, self.new), strict=True)
        )
        if before != after:
            yield self._change(TIMEOUT, "", f"`TimeoutSeconds` `{before}` → `{after}`", "TimeoutSeconds")
        for owner, start in self.new.starts.items():
            was = self.old.starts.get(self._back(owner))
            if was is not None and self.names.get(was, was) != start:
                yield self._change(EDGE, owner, f"starts with {start}; before: {was}")

    def _states(self) -> Iterator[Change]:
        for before, after in self.names.items():
            yield self._change(STATE, after, f"was {before}")
        for name, state in self.new.states.items():
            if name not in self.before:
                does = self.new.does(state)
                said = [f"is a new state: {does}"]
                said += [f"→ {target}" for target in state.targets]
                if state.may_fail:
                    said.append(f"retries {', '.join(f'× {each.attempts}' for each in state.retries) or 'nothing'}")
                    caught = [f"{', '.join(each.errors)} → {each.target}" for each in state.catches]
                    said.append(f"catches {'; '.join(caught) or 'nothing'}")
                yield self._change(STATE, name, "; ".join(said))
                yield from self._swallows(name, {}, self.new.handlers(state))
        for name, state in self.before.items():
            if name not in self.new.states:
                yield self._change(STATE, name, f"is gone: {self.old.does(state)}")

    def _timeout(self, name: str) -> Iterator[Change]:
        before, after = self._values(name, "timeout")
        if before != after:
            yield self._change(TIMEOUT, name, f"`TimeoutSeconds` `{before}` → `{after}`", "TimeoutSeconds")

    def _retries(self, name: str) -> Iterator[Change]:
        before, after = self.old.attempts(self.before[name]), self.new.attempts(self.new.states[name])
        told: dict[tuple[Rule, str], list[str]] = {}
        for error in {**before, **after}:
            was, now = before.get(error), after.get(error)
            attempts = [each.attempts if each else 0 for each in (was, now)]
            if now is None or not now.attempts:
                if attempts[0]:
                    told.setdefault((RETRY_WEAKENED, f"no longer retries × {attempts[0]} after"), []).append(error)
            elif attempts[0] != attempts[1]:
                rule = RETRY_WEAKENED if attempts[1] < attempts[0] else RETRY
                told.setdefault((rule, f"retries × {attempts[1]} (before: × {attempts[0]}) after"), []).append(error)
            elif was and was.waits != now.waits:
                told.setdefault((RETRY, f"waits {now.waits} (before: {was.waits}) after"), []).append(error)
        for (rule, said), errors in told.items():
            yield self._change(rule, name, f"{said} {', '.join(errors)}", "Retry")

    def _catches(self, name: str) -> Iterator[Change]:
        was = {error: self.names.get(target, target) for error, target in self.old.handlers(self.before[name]).items()}
        now = self.new.handlers(self.new.states[name])
        swallowed = list(self._swallows(name, was, now))
        yield from swallowed
        for error in {**was, **now}:
            if was.get(error) == now.get(error):
                continue
            if error not in now:
                rest = now.get("States.ALL")
                rule = CATCH if rest else SWALLOWED
                yield self._change(rule, name, f"no longer catches {error} (before: → {was[error]})", "Catch")
            elif not swallowed:
                before = f"before: → {was[error]}" if error in was else "new"
                yield self._change(CATCH, name, f"catches {error} → {now[error]} ({before})", "Catch")

    def _swallows(self, name: str, was: dict[str, str], now: dict[str, str]) -> Iterator[Change]:
        """Errors whose handler now leads to a success, and did not before."""
        for error, target in now.items():
            ends = self.new.succeeds(target)
            before = was.get(error, was.get("States.ALL", ""))
            was_success = bool(before and self.old.succeeds(self._back(before)))
            if ends and not was_success:
                ended = f"which ends as a success in {', '.join(sorted(ends))}"
                after = f" (before: → {before})" if before not in ("", target) else ""
                yield self._change(SWALLOWED, name, f"catches {error} → {target}, {ended}{after}", "Catch")

    def _recorders(self) -> Iterator[Change]:
        """Tasks, such as the one that records a failure, that failures passed before and do not pass any more."""
        for name in self.same:
            now = self.new.handlers(self.new.states[name])
            lost: dict[str, None] = {}
            for error, target in self.old.handlers(self.before[name]).items():
                after = now.get(error, now.get("States.ALL"))
                if after is None or self.old.succeeds(target) or self.new.succeeds(after):
                    continue  # it is told as an error that is not caught, or that is swallowed
                passed = self.new.passes(after)
                ways = [self.names.get(each, each) for each in self.old.states if each in self.old.passes(target)]
                lost |= dict.fromkeys(each for each in ways if each not in passed)
            if lost:
                yield self._change(SWALLOWED, name, f"fails without {', '.join(lost)}", "Catch")

    def _edges(self, name: str) -> Iterator[Change]:
        before = {(condition, self.names.get(target, target)) for condition, target in self.before[name].next}
        after = {*self.new.states[name].next}
        gone, come = sorted(before - after), sorted(after - before)
        said = [f"{condition} → {target}".strip() for condition, target in come]
        if gone:
            said.append(f"before: {', '.join(f'{condition} → {target}'.strip() for condition, target in gone)}")
        if bool(self.before[name].data.get("End")) != bool(self.new.states[name].data.get("End")):
            said.append("ends here" if self.new.states[name].data.get("End") else "no longer ends here")
        if said:
            yield self._change(EDGE, name, "; ".join(said), "Next")

    def _rest(self, name: str) -> Iterator[Change]:
        before, after = self.before[name], self.new.states[name]
        if before.inside != self._back(after.inside):
            yield self._change(STATE, name, f"is inside {after.inside or 'no other state'}")
        for each in differences(self.old.resolved(before.rest), self.new.resolved(after.rest)):
            first = str(each.path[0]) if each.path else ""
            rule = STATE
            if first.startswith("ToleratedFailure"):
                old, new = (number(value, {}) or 0 for value in (each.old, each.new))
                rule = SWALLOWED if new > old or isinstance(each.new, str) else STATE
            elif first.startswith("MaxConcurrency"):
                rule = LIMIT
            yield self._change(rule, name, f"`{each.place}` {_code(each.old)} → {_code(each.new)}", *each.path[:1])

    def _values(self, name: str, field: str) -> tuple[str, str]:
        states = self.before[name], self.new.states[name]
        found = [
            architecture.value(machine.symbol(getattr(state, field)))
            for architecture, machine, state in zip(self.architectures, (self.old, self.new), states, strict=True)
        ]
        return found[0], found[1]

    def _back(self, name: str) -> str:
        """The old name of a state."""
        return next((old for old, new in self.names.items() if new == name), name)

    def _change(self, rule: Rule, name: str, what: str, *path: str | int) -> Change:
        subject = f"{self.new.name}.{name}" if name else self.new.name
        state = self.new.states.get(name)
        document = self.new.document
        if state:
            return Change(rule, subject, what, f"{document.file}:{document.line(*state.path, *path)}")
        return Change(rule, subject, what, f"{document.file}:{document.line(*path)}" if not name else "")


def _renames(old: Machine, new: Machine) -> Names:
    """States with another name that do the same."""
    gone = [each for name, each in old.states.items() if name not in new.states]
    come = [each for name, each in new.states.items() if name not in old.states]
    pairs = {}
    for each in gone:
        same = [one for one in come if _same(each, one)]
        if len(same) == 1 and sum(_same(one, same[0]) for one in gone) == 1:
            pairs[each.name] = same[0].name
    return pairs


def _same(one: State, other: State) -> bool:
    keys = {"Catch", "Next", "Comment"}
    first, second = ({key: value for key, value in each.data.items() if key not in keys} for each in (one, other))
    return canonical(first) == canonical(second) and one.type not in ("Succeed", "Fail", "Pass")


def _code(value: Any) -> str:
    text = shown(value)
    return text if value is None else f"`{text if len(text) <= 80 else f'{text[:77]}…'}`"
