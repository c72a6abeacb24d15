"""Python functions run with AWS's own runtime client in a clean environment, as on Lambda.

AWS ("Lambda runtime API", "Defined runtime environment variables"): awslambdaric runs the handler. The class of an
unhandled exception becomes errorType, which Step Functions uses for Retry and Catch. Layers are under /opt. The process
sees Lambda's variables, the function's own variables, and always _X_AMZN_TRACE_ID.
Stock: a script of MiniStack runs the handler with the whole environment of the host and without /opt. Every error is
`Runtime.HandlerError`. After every warm invocation it waits 50 ms for log lines.
Here: MiniStack's worker for custom runtimes starts `LAMBDA_PYTHON -m awslambdaric`. Mounting on /opt needs root, so
layers are unpacked elsewhere and variables that point to /opt are rewritten. So are variables that name the issuer of a
user pool, which is this emulator (user_pool_issuer). A worker logs to a file, which the patch
reads after the answer. The memory size is not enforced.
"""

import hashlib
import io
import os
import queue
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime as runtime
from ministack.services import lambda_svc

PYTHON = os.environ.get("LAMBDA_PYTHON") or sys.executable
BOOTSTRAP = f'#!/bin/sh\nexec "{PYTHON}" -m awslambdaric "$_HANDLER" >"$HOME/.output" 2>&1\n'
_unpacking = threading.Lock()
_ISSUER = re.compile(r"^https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?=/)")


def _here(_match: object) -> str:
    return os.environ["AWS_ENDPOINT_URL"]


def apply() -> None:
    """Runs every function (all are in Python) with `PythonWorker`, and gives every invocation a trace header."""
    unpack = lambda_svc._provided_runtime_code_dir

    def code_with_bootstrap(code: bytes) -> str:
        bootstrap = Path(folder := str(unpack(code)), "bootstrap")
        with lambda_svc._provided_code_lock:  # no process may start while the file is open for writing
            if not bootstrap.exists():
                bootstrap.write_text(BOOTSTRAP)
                bootstrap.chmod(0o755)
        return folder

    runtime._worker_class_for = lambda _config: PythonWorker
    lambda_svc._execute_function_warm = lambda_svc._execute_function_provided_warm
    lambda_svc._provided_runtime_code_dir = code_with_bootstrap
    lambda_svc._provided_worker_env = environment
    lambda_svc._xray_trace_id_for_invocation = trace_header


def trace_header(config: dict[str, Any], inbound: str | None = None) -> str:
    """The X-Ray header of one invocation; without active tracing it says "not sampled", as on AWS."""
    sampled = int((config.get("TracingConfig") or {}).get("Mode") == "Active")
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return inbound or f"Root={root};Parent={secrets.token_hex(8)};Sampled={sampled}"


def unpacked_layers(config: dict[str, Any]) -> str:
    """The folder in place of /opt, with the function's layers unpacked in order; its workers share it."""
    layers = [layer for each in config.get("Layers") or [] if (layer := lambda_svc._resolve_layer_zip(each))]
    digest = hashlib.sha256(b"".join(hashlib.sha256(layer).digest() for layer in layers)).hexdigest()
    folder = Path(tempfile.gettempdir(), f"opt-{digest[:16]}")
    with _unpacking:
        if not folder.exists():
            partial = Path(tempfile.mkdtemp())
            for layer in layers:
                with zipfile.ZipFile(io.BytesIO(layer)) as opened:
                    lambda_svc._extract_zip_preserving_mode(opened, str(partial))
            partial.rename(folder)
    return str(folder)


def environment(config: dict[str, Any], task_root: str, port: int) -> dict[str, str]:
    """The environment of the function's process: Lambda's variables, its own, and the emulator's address."""
    logging, name, opt = config.get("LoggingConfig") or {}, config["FunctionName"], unpacked_layers(config)
    region, python = config["FunctionArn"].split(":")[3], config["Runtime"]
    variables = {"PATH": f"{opt}/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": ":UTC"}
    variables["PYTHONPATH"] = f"{opt}/python/lib/{python}/site-packages:{opt}/python"
    variables |= {"HOME": config["scratch"], "TMPDIR": config["scratch"], "LAMBDA_TASK_ROOT": task_root}
    variables |= {"_HANDLER": config["Handler"], "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    variables |= {"AWS_XRAY_CONTEXT_MISSING": "IGNORE_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000"}
    lambdas = {
        "RUNTIME_API": f"127.0.0.1:{port}",
        "FUNCTION_NAME": name,
        "FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "FUNCTION_VERSION": config.get("Version", "$LATEST"),
        "INITIALIZATION_TYPE": "on-demand",
        "LOG_FORMAT": logging.get("LogFormat", "Text"),
        "LOG_LEVEL": logging.get("ApplicationLogLevel", ""),
        "LOG_GROUP_NAME": logging.get("LogGroup") or f"/aws/lambda/{name}",
        "LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{secrets.token_hex(16)}",
    }
    variables |= {f"AWS_LAMBDA_{key}": value for key, value in lambdas.items()}
    variables |= {"AWS_EXECUTION_ENV": f"AWS_Lambda_{python}", **runtime.execution_credentials(config)}
    for key, value in lambda_svc._runtime_env_vars(config).items():
        text = str(value)  # a template may have numbers
        variables[key] = f"{opt}{text[4:]}" if f"{text}/".startswith("/opt/") else _ISSUER.sub(_here, text)
    # botocore must not add a prefix to the host.
    return variables | {"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"], runtime.HOST_PREFIX_ENV: "true"}


class PythonWorker(runtime.ProvidedWorker):  # type: ignore[misc]  # MiniStack has no types
    """An execution environment of a Python function; it handles one invocation at a time and stays warm."""

    config: dict[str, Any]
    _tmpdir: str | None
    _log: Any = None

    def invoke(self, event: Any, request_id: str, **details: Any) -> Any:
        """Runs one invocation; a failure to start gives the same error as on Lambda."""
        try:
            return super().invoke(event, request_id, **details)
        except RuntimeError as failure:
            late = isinstance(failure, runtime.ProvidedInitTimeout)
            payload = {"errorType": "Sandbox.Timedout" if late else "Runtime.ExitError", "errorMessage": str(failure)}
            payload = self._init_error if isinstance(self._init_error, dict) else payload
            return {"status": "error", "error_payload": payload, "log": self._drain_stderr()}

    def _spawn(self, init_timeout: float | None = None) -> None:
        self._discard_tmpdir()
        self._tmpdir = tempfile.mkdtemp(prefix=f"{self.func_name[:40]}-")
        self.config = {**self.config, "scratch": self._tmpdir}
        output = Path(self._tmpdir, ".output")
        output.touch()
        self._log = output.open(errors="replace")
        super()._spawn(init_timeout)

    def _build_handler_class(self, generation: int, pending: "queue.Queue[Any]") -> Any:
        handler = super()._build_handler_class(generation, pending)
        handler.disable_nagle_algorithm = True  # otherwise the body is sent 40 ms after the headers
        return handler

    def _drain_stderr(self) -> Any:
        return self._log.read() if self._log else ""

    def _drain_stderr_bounded(self, *_: Any, **__: Any) -> Any:
        return self._drain_stderr()  # complete, because a worker writes its log lines before it posts its answer

    def _discard_tmpdir(self) -> None:
        super()._discard_tmpdir()
        if self._tmpdir:
            self._log.close()
            shutil.rmtree(self._tmpdir, ignore_errors=True)
            self._tmpdir = self._log = None
