"""A small OpenID Connect issuer on this machine, with keys of its own: discovery, keys and tokens."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_KINDS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
AUDIENCE = "report-exports"


class Key:
    """A key pair, and what the issuer publishes of it."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private = _KINDS["RS256" if algorithm.startswith(("RS", "PS")) else algorithm]()
        public = jwt.get_algorithm_by_name(algorithm).to_jwk(self.private.public_key(), as_dict=True)
        self.public: dict[str, Any] = public | {"kid": kid, "alg": algorithm, "use": "sig"}


class TestIssuer:
    """The issuer; :meth:`stop` ends it. ``asked`` has the paths that were read, ``fails`` makes it answer 500."""

    __test__ = False

    def __init__(self) -> None:
        self.first = Key("first")
        self.keys = [self.first]
        self.asked: list[str] = []
        self.fails = False
        self.discovery: dict[str, Any] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer._answer(self.path)).encode()
                self.send_response(500 if issuer.fails else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, path: str) -> Any:
        if path.endswith("/openid-configuration"):
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.discovery
        return {"keys": [key.public for key in self.keys]}

    def stop(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, key: Key | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A valid token but for these claims and headers; a claim that is None is left out."""
        key = key or self.keys[0]
        now = int(time.time())
        every = {"iss": self.url, "aud": AUDIENCE, "sub": "auth0|7b", "tenant": "UA", "iat": now, "exp": now + 600}
        payload = {name: value for name, value in (every | claims).items() if value is not None}
        return jwt.encode(payload, key.private, key.algorithm, {"kid": key.kid} | (headers or {}))
