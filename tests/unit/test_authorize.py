"""Authorize: which tokens of an issuer it accepts, and what it tells API Gateway. The issuer is a real server."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authorize import app, tokens
from authorize.tokens import InvalidToken, Issuer, IssuerUnavailable
from tests.support.issuer import AUDIENCE, Key, TestIssuer
from tests.unit.support import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


@pytest.fixture(scope="module")
def running() -> Iterator[TestIssuer]:
    issuer = TestIssuer()
    yield issuer
    issuer.stop()


@pytest.fixture
def issuer(running: TestIssuer) -> TestIssuer:
    """The issuer with one key, which nobody has read."""
    running.keys, running.fails, running.discovery = [running.first], False, {}
    running.asked.clear()
    return running


class Clock:
    """A clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(issuer: TestIssuer, clock: Clock) -> Issuer:
    return Issuer(issuer.url, [AUDIENCE, "another"], clock)


def refusal(verifier: Issuer, token: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(token)
    return str(refused.value)


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "EdDSA"])
def test_a_token_of_the_issuer_is_accepted(algorithm: str, issuer: TestIssuer, verifier: Issuer) -> None:
    issuer.keys = [Key("k", algorithm)]
    assert verifier.verify(issuer.token())["sub"] == "auth0|7b"


def test_a_key_may_be_published_without_its_algorithm_and_a_token_may_name_no_key(
    issuer: TestIssuer, verifier: Issuer
) -> None:
    issuer.keys = [Key("k")]
    del issuer.keys[0].public["alg"], issuer.keys[0].public["use"]
    assert verifier.verify(issuer.token())
    assert verifier.verify(jwt.encode(jwt.decode(issuer.token(), options=NO_CHECK), issuer.keys[0].private, "RS256"))


NO_CHECK: Any = {"verify_signature": False}


def test_one_of_several_audiences_is_enough(issuer: TestIssuer, verifier: Issuer) -> None:
    for audience in ("another", ["unknown", AUDIENCE]):
        assert verifier.verify(issuer.token(aud=audience))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 61}, "ExpiredSignatureError"),
        ({"nbf": int(time.time()) + 600}, "ImmatureSignatureError"),
        ({"iat": int(time.time()) + 600}, "ImmatureSignatureError"),
        ({"exp": None}, "MissingRequiredClaimError"),
        ({"exp": "soon"}, "DecodeError"),
        ({"exp": float("inf")}, "DecodeError"),
        ({"aud": "billing"}, "InvalidAudienceError"),
        ({"aud": [AUDIENCE + " "]}, "InvalidAudienceError"),
        ({"aud": None}, "MissingRequiredClaimError"),
        ({"iss": "https://evil.example.com"}, "InvalidIssuerError"),
        ({"iss": None}, "MissingRequiredClaimError"),
        ({"token_use": "access"}, "it is an access token"),
    ],
    ids=[
        *("expired", "not yet", "issued later", "no expiry", "a text", "never", "another", "a space", "no audience"),
        *("another issuer", "no issuer", "access token"),
    ],
)
def test_a_token_that_is_not_valid_for_this_api_now_is_refused(
    claims: dict[str, Any], reason: str, issuer: TestIssuer, verifier: Issuer
) -> None:
    assert refusal(verifier, issuer.token(**claims)).startswith(reason)


def test_clocks_may_differ_by_a_minute(issuer: TestIssuer, verifier: Issuer) -> None:
    now = int(time.time())
    assert verifier.verify(issuer.token(exp=now - 30, iat=now + 30, nbf=now + 30))


def test_a_token_without_a_signature_or_with_a_shared_secret_is_refused(issuer: TestIssuer, verifier: Issuer) -> None:
    """With HMAC, the public key would be the secret (RFC 8725, section 2.1)."""
    payload = jwt.decode(issuer.token(), options=NO_CHECK)
    public = issuer.keys[0].private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    hmac = jwt.get_algorithm_by_name("HS256")
    for algorithm in ("none", "None", "NONE", "", None, "HS256", ["RS256"]):
        header = {"alg": algorithm, "kid": "first", "typ": "JWT"}
        unsigned = forged(header, payload).rpartition(".")[0]
        for signature in (b"", hmac.sign(unsigned.encode(), pem)):
            assert "algorithm" in refusal(verifier, forged(header, payload, signature))
    assert issuer.asked == []


def test_a_key_of_the_token_itself_is_not_used(issuer: TestIssuer, verifier: Issuer) -> None:
    stranger = Key("stranger")
    for headers in ({"jwk": stranger.public}, {"jku": f"{issuer.url}/keys?mine"}, {"x5u": f"{issuer.url}/mine"}):
        assert "no key 'stranger'" in refusal(verifier, issuer.token(stranger, headers))
        assert "InvalidSignatureError" in refusal(verifier, issuer.token(stranger, headers | {"kid": "first"}))
    assert set(issuer.asked) == {DISCOVERY, KEYS}


def test_a_key_is_used_only_for_its_own_algorithm_and_only_for_signatures(issuer: TestIssuer, verifier: Issuer) -> None:
    curve, encryption = Key("curve", "ES256"), Key("encryption")
    encryption.public["use"] = "enc"
    issuer.keys += [curve, encryption]
    assert verifier.verify(issuer.token(curve))
    crossed = jwt.encode(jwt.decode(issuer.token(), options=NO_CHECK), curve.private, "ES256", {"kid": "first"})
    assert refusal(verifier, crossed)
    assert refusal(verifier, issuer.token(headers={"alg": "RS512"}))
    assert "no key 'encryption'" in refusal(verifier, issuer.token(encryption))


@pytest.mark.parametrize("headers", [{"crit": ["exp"]}, {"b64": False}])
def test_an_extension_of_the_header_is_refused(headers: dict[str, Any], issuer: TestIssuer, verifier: Issuer) -> None:
    payload = jwt.decode(issuer.token(), options=NO_CHECK)
    assert refusal(verifier, forged({"alg": "RS256", "kid": "first"} | headers, payload, b"x"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(), st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+", fullmatch=True), st.just("[" * 9_000)))
def test_whatever_is_not_a_token_is_refused(verifier: Issuer, text: str) -> None:
    for token in (text, forged({"alg": "RS256", "kid": text}, {}), f"{forged({'alg': 'RS256'}, {})}{text}"):
        assert refusal(verifier, token)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_token_with_any_byte_changed_is_refused(issuer: TestIssuer, verifier: Issuer, data: st.DataObject) -> None:
    header, payload, signature = issuer.token().split(".")
    parts = [bytearray(base64.urlsafe_b64decode(part + "==")) for part in (header, payload, signature)]
    part = data.draw(st.integers(0, 2))
    place = data.draw(st.integers(0, len(parts[part]) - 1))
    parts[part][place] ^= data.draw(st.integers(1, 255))
    assert refusal(verifier, ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts))


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_read_once_an_hour(issuer: TestIssuer, verifier: Issuer, clock: Clock) -> None:
    for _ in range(3):
        assert verifier.verify(issuer.token())
    assert issuer.asked == [DISCOVERY, KEYS]
    clock.now += tokens.FRESH_SECONDS + 1
    withdrawn, issuer.keys = issuer.keys[0], [Key("second")]
    assert "no key 'first'" in refusal(verifier, issuer.token(withdrawn))
    assert issuer.asked == [DISCOVERY, KEYS] * 2


def test_a_new_key_is_found_at_once_but_an_unknown_one_does_not_make_every_call_read(
    issuer: TestIssuer, verifier: Issuer, clock: Clock
) -> None:
    assert verifier.verify(issuer.token())
    clock.now += tokens.PAUSE_SECONDS
    issuer.keys.append(Key("second"))
    assert verifier.verify(issuer.token(issuer.keys[1]))
    for _ in range(5):
        assert "no key 'stranger'" in refusal(verifier, issuer.token(Key("stranger")))
    assert issuer.asked == [DISCOVERY, KEYS] * 2
    clock.now += tokens.PAUSE_SECONDS
    assert refusal(verifier, issuer.token(Key("stranger")))
    assert issuer.asked == [DISCOVERY, KEYS] * 3


def test_known_keys_are_used_for_a_day_while_the_issuer_does_not_answer(
    issuer: TestIssuer, verifier: Issuer, clock: Clock
) -> None:
    assert verifier.verify(issuer.token())
    issuer.fails = True
    clock.now += tokens.STALE_SECONDS
    assert verifier.verify(issuer.token())
    clock.now += 1
    with pytest.raises(IssuerUnavailable):
        verifier.verify(issuer.token())
    clock.now, issuer.fails = clock.now + tokens.PAUSE_SECONDS, False
    assert verifier.verify(issuer.token())


@pytest.mark.parametrize("discovery", [{"issuer": "https://evil.example.com"}, {"jwks_uri": None}, {"jwks_uri": 7}])
def test_keys_of_another_issuer_are_not_read(discovery: dict[str, Any], issuer: TestIssuer, verifier: Issuer) -> None:
    issuer.discovery = discovery
    with pytest.raises(IssuerUnavailable):
        verifier.verify(issuer.token())
    assert KEYS not in issuer.asked


def test_keys_are_not_read_without_tls_from_an_issuer_with_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Issuer("https://id.example.com", [AUDIENCE])
    described = {"issuer": "https://id.example.com", "jwks_uri": "http://id.example.com/keys"}
    asked: list[str] = []
    monkeypatch.setattr(verifier, "_get", lambda url: asked.append(url) or described)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(forged({"alg": "RS256", "kid": "k"}, {}, b"x"))
    assert asked == ["https://id.example.com/.well-known/openid-configuration"]


# ── What API Gateway gets ───────────────────────────────────────────────────────────────────────────────────────────

ARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/v1"


@pytest.fixture
def authorize(issuer: TestIssuer, alone: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Authorizes a token for GET /limits."""
    settings_of_stack = {"ISSUER": issuer.url, "AUDIENCE": f"{AUDIENCE}, another"}
    for name, value in (settings_of_stack | {"TENANT_CLAIM": "tenant", "USER_CLAIM": "sub"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "report-exports-authorize")
    app.issuer.cache_clear()
    return lambda token: app.handler(
        {"type": "TOKEN", "authorizationToken": token, "methodArn": f"{ARN}/GET/limits"}, Context()
    )


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer  "])
def test_the_policy_allows_every_route_because_it_is_cached_and_the_context_names_the_caller(
    scheme: str, authorize: Any, issuer: TestIssuer
) -> None:
    token = issuer.token(exp=4_102_444_740, email="dana@example.com", email_verified=True)
    answer = authorize(scheme + token)
    assert answer["principalId"]
    assert answer["policyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{ARN}/*"}
    ]
    assert answer["context"] == {
        "tenant": "UA",
        "user": "auth0|7b",
        "email": "dana@example.com",
        "tenant_claim": "tenant",
        "user_claim": "sub",
        "expires": "4102444800",
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "True"},
        {"email_verified": 1},
        {"email": None},
        {"email": ""},
        {"email": "dana"},
        {"email": ["dana@example.com"]},
        {"email": "dana@example.com, eve@example.com"},
        {"email": "dana@example.com\nBcc: eve@example.com"},
        {"email": "Dana <dana@example.com>"},
        {"email": "dañа@example.com"},
    ],
    ids=str,
)
def test_only_one_verified_address_is_passed_on(claims: dict[str, Any], authorize: Any, issuer: TestIssuer) -> None:
    token = issuer.token(**{"email": "dana@example.com", "email_verified": "true"} | claims)
    assert "email" not in authorize(token)["context"]


@pytest.mark.parametrize("tenant", [None, ["UA"], {"id": "UA"}, 7, True])
def test_a_claim_that_is_not_text_is_not_passed_on(tenant: Any, authorize: Any, issuer: TestIssuer) -> None:
    assert "tenant" not in authorize(issuer.token(tenant=tenant))["context"]


def test_a_refused_token_is_exactly_unauthorized_and_counted(
    authorize: Any, issuer: TestIssuer, capsys: pytest.CaptureFixture[str]
) -> None:
    """API Gateway answers 401 only to this message, and 500 to any other."""
    for token in (issuer.token(aud="billing"), "a.b.c"):
        with pytest.raises(app.Unauthorized, match=r"\AUnauthorized\Z"):
            authorize(token)
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [each["TokensRefused"] for each in counted] == [[1.0], [1.0]]
    assert {each["FunctionName"] for each in counted} == {"report-exports-authorize"}
