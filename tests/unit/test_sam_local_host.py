"""How the functions in containers of `make test-sam-local` find the AWS emulator on this machine."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import pytest

from tests.sam_local import host, inside
from tests.sam_local.host import Unreachable, Way

OWN = "192.168.1.20"
BEHIND_ITSELF = Way(OWN, OWN)

# What a container sees of the machine; the ways on which it gets an answer, the one to take first.
ENGINES: dict[str, tuple[dict[str, str], list[Way]]] = {
    "Docker Engine": ({"gateway": "172.17.0.1"}, [Way("172.17.0.1", "172.17.0.1")]),
    "Docker Engine whose hosts also know host.docker.internal": (
        {"gateway": "172.18.0.1", "host.docker.internal": "172.17.0.1"},
        [Way("172.18.0.1", "172.18.0.1"), Way("172.17.0.1", "172.17.0.1")],
    ),
    "Docker Desktop, whose gateway is in its virtual machine": (
        {"gateway": "172.17.0.1", "host.docker.internal": "192.168.65.254"},
        [Way("127.0.0.1", "192.168.65.254"), BEHIND_ITSELF],
    ),
    "Podman machine": (
        {"gateway": "10.88.0.1", "host.containers.internal": "192.168.127.254"},
        [Way("127.0.0.1", "192.168.127.254"), BEHIND_ITSELF],
    ),
    "Podman run by root": (
        {"gateway": "10.88.0.1", "host.containers.internal": "10.88.0.1"},
        [Way("10.88.0.1", "10.88.0.1")],
    ),
    "Podman without root, slirp4netns": ({"gateway": "10.0.2.2", "host.containers.internal": OWN}, [BEHIND_ITSELF]),
    "Podman without root, pasta: the container has the machine's own address": (
        {"gateway": "192.168.1.1", "host.containers.internal": "169.254.1.2"},
        [Way(OWN, "169.254.1.2")],
    ),
    "Docker without root": ({"gateway": "172.17.0.1"}, [BEHIND_ITSELF]),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_has_its_way_and_the_one_that_fewest_can_reach_is_taken(engine: str) -> None:
    seen, reached = ENGINES[engine]
    for order in (reached, reached[::-1]):
        assert host.choose(seen, OWN, order) == reached[0]
    assert not {"0.0.0.0", ""} & set(host.listens(seen, OWN)), "nothing listens at every address"


def test_where_no_container_gets_through_the_message_says_what_was_tried_and_what_to_do() -> None:
    with pytest.raises(Unreachable) as reason:
        host.choose({"gateway": "172.17.0.1", "host.docker.internal": "192.168.65.254"}, OWN, [])
    assert (
        "A container tried 172.17.0.1 (gateway), 192.168.65.254 (host.docker.internal), "
        "192.168.1.20 (this machine's address). Let this machine's firewall accept"
    ) in str(reason.value)


ROUTES = {
    "eth0 00000000 010011AC 0003 0 0 0 00000000": "172.17.0.1",
    "eth0 000011AC 00000000 0001 0 0 0 0000FFFF\ntap0 00000000 0202000A 0003 0 0 0 00000000": "10.0.2.2",
    "eth0 000011AC 00000000 0001 0 0 0 0000FFFF": "",
    "": "",
}


@pytest.mark.parametrize("routes", ROUTES)
def test_a_container_reads_its_gateway_from_its_routes(routes: str) -> None:
    head = "Iface Destination Gateway Flags RefCnt Use Metric Mask"
    assert inside.gateway(f"{head}\n{routes}") == ROUTES[routes]


def test_the_way_is_tried_for_real_and_an_address_where_nothing_answers_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This process stands for the container.
    def here(*arguments: str) -> Any:
        return inside.reached(*json.loads(arguments[0])) if arguments else {"gateway": "127.0.0.1"}

    monkeypatch.setattr(host, "_in_container", here)
    assert host.find() == Way("127.0.0.1", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert inside.reached({"127.0.0.1": port}, ["127.0.0.1"]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a second address, 127.0.0.2, everywhere")
def test_at_its_address_in_the_network_this_machine_serves_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with host.greeting() as greeter, host.forwarded("127.0.0.1", greeter) as port:
        assert answer(port, "127.0.0.2") == inside.GREETING
        monkeypatch.setattr(host, "own", lambda: "127.0.0.1")
        assert answer(port, "127.0.0.2") == b""
        assert answer(port, "127.0.0.1") == inside.GREETING


def answer(port: int, caller: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(caller, 0)) as connection:
        return connection.makefile("rb").read()
