"""Where the containers of this machine's engine find the machine. No address is right for all, so a container tries:

| engine | the container asks | this machine listens at |
|---|---|---|
| Docker Desktop, Podman machine | host.docker.internal, host.containers.internal | 127.0.0.1 |
| Docker Engine, Podman run by root | its gateway | the same address |
| Podman and Docker without root | host.containers.internal, or this machine's address in its network | the latter |

`python -m tests.sam_local.host` prints the address to listen at and the one to ask, or fails and says what was tried.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.sam_local import engine, inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_LOOPBACK = "127.0.0.1"
_IP_FREEBIND = 15  # Linux: ip(7); Python has no name for it


class Way(NamedTuple):
    """How a container reaches this machine."""

    listen: str
    """The address at which this machine listens."""
    host: str
    """The address at which a container finds it."""


class Unreachable(Exception):
    """No container reaches this machine; the message says what was tried and what to do."""


def find() -> Way:
    """The way that works here, found by a container of the image that the tests run.

    Raises:
        Unreachable: there is none.
    """
    seen = _in_container()
    with contextlib.ExitStack() as stack:
        greeter = stack.enter_context(greeting())
        ports = {}
        for listen in listens(seen, own()):
            with contextlib.suppress(OSError):  # not an address of this machine
                ports[listen] = stack.enter_context(forwarded(listen, greeter))
        pairs = _in_container(json.dumps([ports, hosts(seen, own())]))
    return choose(seen, own(), [Way(*pair) for pair in pairs])


def own() -> str:
    """This machine's address in its network; empty without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
    return ""


def listens(seen: dict[str, str], own: str) -> list[str]:
    """The addresses to listen at, the one that fewest can reach first.

    0.0.0.0 is not among them: whoever reaches the emulator may do everything, and a neighbour in the network shall not.
    """
    return _distinct([_LOOPBACK, *seen.values(), own])


def hosts(seen: dict[str, str], own: str) -> list[str]:
    """The addresses at which a container may find this machine."""
    return _distinct([*seen.values(), own])


def choose(seen: dict[str, str], own: str, reached: Sequence[Way]) -> Way:
    """The first of the ways that reached this machine.

    Args:
        seen: the addresses that a container sees, under their names.
        own: this machine's address in its network.
        reached: the ways on which the container got an answer.

    Raises:
        Unreachable: it got none.
    """
    for way in (Way(listen, host) for listen in listens(seen, own) for host in hosts(seen, own)):
        if way in reached:
            return way
    names = {**seen, "this machine's address": own}
    tried = ", ".join(f"{address} ({name})" for name, address in names.items() if address)
    raise Unreachable(
        "No container reaches this machine, so no function in one would find the AWS emulator. "
        f"A container tried {tried}. "
        "Let this machine's firewall accept what comes from containers (with ufw: sudo ufw allow in on docker0). "
        "If DOCKER_HOST names another machine, use an engine on this one."
    )


@contextlib.contextmanager
def forwarded(listen: str, port: int) -> Iterator[int]:
    """The port of ``listen`` that hands on to what this machine serves at a port of 127.0.0.1.

    Raises:
        OSError: this machine cannot listen there.
    """

    class Pipe(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((_LOOPBACK, port)) as there:
                back = threading.Thread(target=_pump, args=(there, self.request), daemon=True)
                back.start()
                _pump(self.request, there)
                back.join()

    with _serving(listen, Pipe) as at:
        yield at


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        if sys.platform == "linux":  # Podman takes its bridge, and the address, away with the last container
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        super().server_bind()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """At its address in the network, this machine serves only itself: an engine without root calls from there."""
        here = self.server_address[0]
        return here != own() or client_address[0] == here


@contextlib.contextmanager
def greeting() -> Iterator[int]:
    """The port of 127.0.0.1 that greets each caller."""
    with _serving(_LOOPBACK, _Greeter) as port:
        yield port


class _Greeter(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(inside.GREETING)


@contextlib.contextmanager
def _serving(listen: str, handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with _Server((listen, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _in_container(*arguments: str) -> Any:
    """What `inside` prints in a container."""
    command = ("run", "--rm", "--interactive", "--entrypoint", "python3", engine.IMAGE, "-", *arguments)
    run = engine.docker(*command, stdin=Path(inside.__file__).read_text("utf-8"))
    if run.returncode:
        raise Unreachable(f"No container starts of {engine.IMAGE}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def _distinct(addresses: Iterable[str]) -> list[str]:
    return [address for address in dict.fromkeys(addresses) if address]


if __name__ == "__main__":
    try:
        print(*find())
    except Unreachable as reason:
        sys.exit(str(reason))
