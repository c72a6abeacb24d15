"""The AWS emulator: MiniStack with our corrections, in an environment of its own (requirements/emulator.in).

    python local/emulator.py --port 4566 [--patches all|none|name,name] [--lock DESCRIPTOR]

Every AWS API answers on http://127.0.0.1:<port>. All state is in memory. The emulator never uses Docker. When it is
ready, it prints one line that begins with `ready`. SIGTERM or Ctrl-C stops it, ends its Lambda workers and removes its
temporary files.

IAM is enforced. The access keys `test` and `000000000000` are administrators, like the root user of account
000000000000 (secret `test`, which MiniStack does not check). All other callers sign with credentials from the emulator
for a role or a user with a policy; a function uses the temporary credentials of its own role.

Environment variables and their defaults: AWS_DEFAULT_REGION (us-east-1); LAMBDA_PYTHON (this interpreter), which runs
the functions and has awslambdaric and boto3, as Lambda's base image does; LOG_LEVEL (WARNING); LAMBDA_WARM_TTL_SECONDS
(60), how long an idle worker stays; SFN_WAIT_SCALE (1), where 0.1 makes Wait states and retry pauses ten times shorter;
DECISIONS, a file that gets every decision of IAM about a stack's roles (local/decisions.py).
"""

import argparse
import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Serves until a signal ends the process."""
    parser = argparse.ArgumentParser(description="MiniStack with corrections where it differs from AWS")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--patches", default="all", help="all, none, or names separated by commas")
    parser.add_argument(
        "--lock", type=int, help="descriptor of a locked file; the lock shows that this process is alive"
    )
    arguments = parser.parse_args()
    if arguments.lock is not None:
        os.set_inheritable(arguments.lock, False)  # a worker that outlives this process must not hold the lock
        os.write(arguments.lock, f"{os.getpid()}\n".encode())
    sys.path[0] = str(Path(__file__).parents[1])

    from local import patches

    names = patches.named(arguments.patches)
    with socket.create_server(("127.0.0.1", arguments.port), backlog=128) as listening:
        tempfile.tempdir = tempfile.mkdtemp(prefix="emulator-")
        configure(arguments.port, tempfile.tempdir)
        for name in names:  # not earlier: patches import MiniStack, which reads the environment once
            import_module(f"local.patches.{name}").apply()
        import_module("local.decisions").record()
        print(f"ready: http://127.0.0.1:{arguments.port}", flush=True)  # callers already wait in the backlog
        asyncio.run(serve(listening.fileno(), tempfile.tempdir))


def configure(port: int, scratch: str) -> None:
    """Sets the environment for MiniStack, and removes everything of the caller's AWS account."""
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ.setdefault("LAMBDA_WARM_TTL_SECONDS", "60")
    os.environ.update(GATEWAY_PORT=str(port), MINISTACK_HOST="127.0.0.1", AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    os.environ.update(MINISTACK_ACCOUNT_ID="000000000000", MINISTACK_REGION=region, AWS_DEFAULT_REGION=region)
    os.environ.update(AUTH="true", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", LAMBDA_EXECUTOR="local")
    os.environ.update(IOT_MTLS_ENABLED="0", SFTP_ENABLED="0", TMPDIR=scratch, DOCKER_HOST=f"unix://{scratch}/no-docker")


async def serve(listening: int, scratch: str) -> None:
    """Serves MiniStack on the listening socket until a signal stops the process."""
    from hypercorn import asyncio as hypercorn
    from hypercorn.config import Config
    from ministack.app import app

    # Read large bodies in large pieces, because each piece costs the same Python work.
    hypercorn.tcp_server.MAX_RECV = asyncio.start_server.__kwdefaults__["limit"] = 2**22  # type: ignore[index]
    config = Config()
    config.bind, config.keep_alive_timeout = [f"fd://{listening}"], 75
    config.loglevel = os.environ["LOG_LEVEL"].upper()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread, because removing the files takes a while.
        asyncio.get_running_loop().add_signal_handler(number, threading.Thread(target=stop, args=(scratch,)).start)
    await hypercorn.serve(app, config, shutdown_trigger=asyncio.Event().wait)


def stop(scratch: str) -> None:
    """Ends the workers, removes the files and exits without waiting for the threads of running executions."""
    from ministack.core import lambda_runtime

    try:
        for worker in [worker for pool in list(lambda_runtime._workers.values()) for worker in pool]:
            if worker._proc is not None:
                worker._proc.kill()
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
