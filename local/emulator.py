"""The AWS emulator: MiniStack with our corrections, in the emulator's own environment (requirements/emulator.in).

    python local/emulator.py --port 4566 [--patches all|none|name,name] [--lock DESCRIPTOR]

Every AWS API answers on http://127.0.0.1:<port>; all state is in memory; Docker is never used. It prints one line,
beginning with `ready`, when it answers. SIGTERM or Ctrl-C ends it with its Lambda workers and temporary files.

IAM is enforced. The access keys `test` and `000000000000` (secret `test`; MiniStack does not check theirs) are
administrators, as the root user of account 000000000000 is. Everybody else signs with credentials the emulator gave
out, to a role or user with a policy; a function calls with its own role's temporary credentials.

Environment: AWS_DEFAULT_REGION (us-east-1), LAMBDA_PYTHON (the interpreter that runs functions and holds awslambdaric
and boto3, as Lambda's base image does; this one), LOG_LEVEL (WARNING), LAMBDA_WARM_TTL_SECONDS (how long a worker
nobody needs stays; 60), SFN_WAIT_SCALE (0.1 makes Wait states and retry pauses ten times shorter; 1).
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
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description="MiniStack, corrected where it differs from AWS")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--patches", default="all", help="all, none, or names separated by commas")
    parser.add_argument("--lock", type=int, help="descriptor of a locked file: the lock says that this process lives")
    arguments = parser.parse_args()
    if arguments.lock is not None:
        os.set_inheritable(arguments.lock, False)  # a worker that outlives this process must not seem to be it
        os.write(arguments.lock, f"{os.getpid()}\n".encode())
    sys.path[0] = str(Path(__file__).parents[1])

    from local import patches

    names = patches.named(arguments.patches)
    with socket.create_server(("127.0.0.1", arguments.port), backlog=128) as listening:
        tempfile.tempdir = tempfile.mkdtemp(prefix="emulator-")
        configure(arguments.port, tempfile.tempdir)
        for name in names:  # MiniStack, which they import, reads the environment once: only now
            import_module(f"local.patches.{name}").apply()
        print(f"ready: http://127.0.0.1:{arguments.port}", flush=True)  # callers wait in the backlog meanwhile
        asyncio.run(serve(listening.fileno(), tempfile.tempdir))


def configure(port: int, scratch: str) -> None:
    """Set the environment MiniStack reads; nothing of the caller's AWS account may reach it."""
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
    """Serve MiniStack on the listening socket until a signal stops the process, whatever it is doing."""
    from hypercorn import asyncio as hypercorn
    from hypercorn.config import Config
    from ministack.app import app

    # A body of many MB is read in large pieces: each costs as much Python.
    hypercorn.tcp_server.MAX_RECV = asyncio.start_server.__kwdefaults__["limit"] = 2**22  # type: ignore[index]
    config = Config()
    config.bind, config.keep_alive_timeout = [f"fd://{listening}"], 75
    config.loglevel = os.environ["LOG_LEVEL"].upper()
    for number in (signal.SIGTERM, signal.SIGINT):
        # A thread of its own: removing the files takes a while.
        asyncio.get_running_loop().add_signal_handler(number, threading.Thread(target=stop, args=(scratch,)).start)
    await hypercorn.serve(app, config, shutdown_trigger=asyncio.Event().wait)


def stop(scratch: str) -> None:
    """End the workers, remove the files and leave; a thread inside an execution would stay for its whole timeout."""
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
