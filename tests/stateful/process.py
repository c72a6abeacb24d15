"""Invocations of the product's functions, each in a thread of its own that stops before every call of AWS.

Only one thread runs at a time, and only from one call to the next: whoever owns the processes says whose call is next,
answers it or lets it fail. So the order of all calls is in one hand, and the same every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

_here = threading.local()


class Killed(BaseException):
    """The process is no more; nothing that it does in its last moments has an effect."""


class Call(NamedTuple):
    """A call of AWS that a process wants to make."""

    client: Any
    operation: str
    parameters: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.client.meta.service_model.service_name)


class Process:
    """One invocation. ``wants`` is its next call; None once it has ended, with a ``result`` or an ``error``."""

    excused = False
    """What it answers or raises is not its own fault: a test has denied it something, or done something meanwhile."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        self.name, self.work = name, work
        self.wants: Call | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.killed = ""
        self._outcome: Any = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._resume()

    @property
    def ended(self) -> bool:
        return self.wants is None

    def answer(self, outcome: Any) -> None:
        """Lets it go on to its next call; an exception is raised where it called."""
        self._outcome = outcome
        self._resume()

    def kill(self, why: str = "Runtime.ExitError") -> None:
        """Ends it where it stands; Lambda's name for that."""
        self.killed = why
        while not self.ended:
            self._resume()

    def _run(self) -> None:
        _here.process = self
        self._go.acquire()
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error.with_traceback(None) if isinstance(error, Killed) else error
        self._back.release()

    def _resume(self) -> None:
        self.wants = None
        self._go.release()
        self._back.acquire()
        if self.wants is None:
            self._thread.join()

    def ask(self, call: Call) -> Any:
        """Called in its own thread: waits until the call is answered."""
        if self.killed:
            raise Killed(self.killed)
        self.wants = call
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise Killed(self.killed)
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


def ask(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
    """In place of ``BaseClient._make_api_call``."""
    process: Process = _here.process
    return process.ask(Call(client, operation, parameters))


class OneAfterTheOther:
    """In place of ThreadPoolExecutor, whose threads would call AWS in an order of their own."""

    def __init__(self, _threads: int) -> None:
        pass

    def __enter__(self) -> OneAfterTheOther:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
        return iter([function(*each) for each in zip(*items, strict=True)])
