"""An update of a function lets running invocations finish.

AWS ("Lambda execution environment lifecycle", "Update function code"): an update creates new execution environments. A
running invocation finishes in its environment with the old code.
Stock: an update kills the environments, so a deployment fails every running export.
Here: an environment that is busy during an update is set aside, and ends after its invocation.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ministack.core import lambda_runtime as runtime
from ministack.services import lambda_svc

_updating = ContextVar("updating", default=False)


def apply() -> None:
    """Spares busy environments during updates, but not in other cases: a timeout must end them."""
    kill, release = runtime.kill_workers, runtime.release_worker

    def kill_unless_busy(workers: list[Any]) -> None:
        with runtime._lock:  # an environment becomes free under this lock
            spared = [worker for worker in workers if _updating.get() and worker.in_use]
            for worker in spared:
                worker.set_aside = True
        kill([worker for worker in workers if worker not in spared])

    def release_or_kill(worker: Any) -> None:
        release(worker)
        if getattr(worker, "set_aside", False):
            kill([worker])

    runtime.kill_workers = kill_unless_busy
    lambda_svc.release_worker = release_or_kill
    lambda_svc._update_code = _during_update(lambda_svc._update_code)
    lambda_svc._update_config = _during_update(lambda_svc._update_config)


def _during_update(update: Callable[..., Any]) -> Callable[..., Any]:
    def updated(*arguments: Any) -> Any:
        token = _updating.set(True)
        try:
            return update(*arguments)
        finally:
            _updating.reset(token)

    return updated
