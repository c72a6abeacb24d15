"""Whether `sam local` can run here: it needs a Docker engine, and Lambda's base image in it.

`python -m tests.sam_local.engine` prints the reason why not, and fails then.
"""

from __future__ import annotations

import subprocess
import sys

from local.launcher import PARAMETERS, RUNTIME

IMAGE = f"public.ecr.aws/lambda/python:{RUNTIME.removeprefix('python')}-x86_64"


def missing() -> str:
    """What is missing, and how to get it; empty where nothing is."""
    if PARAMETERS["PythonRuntime"] != RUNTIME:
        return f"a stack cannot run on {RUNTIME}. Use a newer Python: add PYTHON=python3.13 to the command."
    try:
        engine = docker("info")
    except FileNotFoundError:
        return "there is no docker command. Install Docker and start its engine."
    if engine.returncode:
        return f"the Docker engine does not answer ({_last_line(engine.stderr)}). Start it."
    if docker("image", "inspect", IMAGE).returncode and (pulled := docker("pull", IMAGE)).returncode:
        remedy = f"Where the registry is out of reach, get {IMAGE} otherwise, such as with docker save and docker load."
        return f"Lambda's base image cannot be pulled ({_last_line(pulled.stderr)}). {remedy}"
    return ""


def docker(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the docker command."""
    return subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"sam local runs a function in a container of Lambda's own image, but {reason}")
