"""What the Makefile runs: `python -m local up | down | demo | token --tenant UA | run [--stack NAME] -- COMMAND`."""

import argparse
import signal
import subprocess
import sys
from typing import Any
from urllib.error import URLError

from exports_admin import locks, own, stack
from exports_cli.trouble import Trouble
from local import demo, launcher, port


def main() -> int:
    """Runs one command. Returns its exit status: 1 after a message that says what to do if it failed."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "demo", "token", "run"])
    parser.add_argument("--port", type=port.number, default=4566, help="port of the AWS emulator")
    parser.add_argument("--tenant", default=demo.AIRLINE, help="with token: the tenant of the user")
    parser.add_argument("--stack", help="with run: a deployed stack in the account of your environment")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cleanup of Ctrl-C: nothing is left running
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments, command = parser.parse_args(words[:end]), words[end + 1 :]
    try:
        match arguments.command:
            case "up":
                description = launcher.up(arguments.port)
                if description["port"] != arguments.port:
                    print(f"The emulator already runs on port {description['port']}. Run make down to change the port.")
                print(f"Up: {description['api_url']} (see .local/stack.json; stop it with make down)")
                print(launcher.try_it(description))
            case "down":
                print(f"Stopped. {own.summary()}" if launcher.down() else "Nothing was running.")
            case "demo":
                with launcher.running(arguments.port, "demo") as description:
                    demo.show(description)
            case "token":
                print(stack.sign_in(_running(), arguments.tenant))
            case "run":
                target = launcher.described(arguments.stack) if arguments.stack else launcher.running(arguments.port)
                with target:
                    return subprocess.call(command, pass_fds=locks.passed_on)
    except URLError as error:
        print(f"\nThe API does not answer ({error.reason}). See {launcher.STATE / 'emulator.log'}", file=sys.stderr)
        return 1
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _running() -> dict[str, Any]:
    if description := launcher.describe():
        return description
    raise Trouble("The emulator is not running. Start it: make up")


if __name__ == "__main__":
    sys.exit(main())
