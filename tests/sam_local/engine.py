"""Whether `sam local` can run here: it needs a Docker engine, and Lambda's base image in it.

`python -m tests.sam_local.engine` prints the reason why not, and fails then.
"""

from __future__ import annotations

import subprocess
import sys

from local.stack import RUNTIME

IMAGE = f"public.ecr.aws/lambda/python:{RUNTIME.removeprefix('python')}-x86_64"


def missing() -> str:
    """What is missing, and how to get it; empty where nothing is."""
    try:
        engine = _docker("info")
    except FileNotFoundError:
        return "there is no docker command. Install Docker and start its engine."
    if engine.returncode:
        return f"the Docker engine does not answer ({_last_line(engine.stderr)}). Start it."
    if _docker("image", "inspect", IMAGE).returncode and (pulled := _docker("pull", IMAGE)).returncode:
        remedy = f"Where the registry is out of reach, get {IMAGE} otherwise, such as with docker save and docker load."
        return f"Lambda's base image cannot be pulled ({_last_line(pulled.stderr)}). {remedy}"
    return ""


def bridge() -> str:
    """This machine's address as the containers see it."""
    found = _docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    return found.stdout.strip()


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


if __name__ == "__main__":
    if reason := missing():
        print(f"make test-sam-local was skipped: {reason}")
        sys.exit(1)
