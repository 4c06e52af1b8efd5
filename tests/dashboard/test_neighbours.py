"""Neighbours the dashboard reads over the network: Prometheus pages, an OpenID provider, Kubeflow; and OpenAPI."""

from __future__ import annotations

import functools
import json
import re
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import hypothesis
import pytest
import schemathesis
from joserfc import jwt
from joserfc.jwk import RSAKey

from dashboard import scrape
from dashboard.readers.cluster import Cluster
from tests.dashboard.rig import Inbox

PAGE = """# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="melanoma",status="OK"} %d
:tensorflow:serving:request_count{model_name="melanoma",status="NOT_FOUND"} %d
:tensorflow:serving:request_count{model_name="other",status="OK"} 999
:tensorflow:serving:request_latency_bucket{model_name="melanoma",API="predict",entrypoint="GRPC",le="1000"} %d
:tensorflow:serving:request_latency_bucket{model_name="melanoma",API="predict",entrypoint="GRPC",le="2000"} %d
:tensorflow:serving:request_latency_bucket{model_name="melanoma",API="predict",entrypoint="GRPC",le="+Inf"} %d
melanosizer_serving_shadow_comparisons{model_name="melanoma",result="equal"} 7
"""


def test_rates_and_percentiles_come_from_what_changed_between_two_pages(inbox: Any) -> None:
    scraper = scrape.Scraper(f"{inbox.url}/metrics", 60, "melanoma")
    inbox.answers["/metrics"] = (200, (PAGE % (10, 0, 0, 10, 10)).encode())
    scraper.turn()
    inbox.answers["/metrics"] = (200, (PAGE % (110, 4, 100, 110, 110)).encode())
    scraper.turn()
    first, second = scraper.samples()
    span = scrape.between(first, second)
    assert span.requests * span.seconds == pytest.approx(104)
    assert span.errors * span.seconds == pytest.approx(4)
    assert span.p50_ms == pytest.approx(0.5)
    assert span.p99_ms == pytest.approx(0.99)
    assert second.shadow == {"equal": 7}
    inbox.answers["/metrics"] = (500, b"")
    scraper.turn()
    assert "500" in scraper.trouble
    inbox.answers["/metrics"] = (200, b"# TYPE requests-a-second counter")
    scraper.turn()
    assert "not a page for Prometheus" in scraper.trouble
    assert len(scraper.samples()) == 2


def test_the_embedded_servers_own_page_is_understood() -> None:
    metrics = pytest.importorskip("serving.operations.metrics")
    made = metrics.Metrics()
    made.request_count.add("melanoma", "OK", by=3)
    for value in (900, 1800, 40_000):
        made.request_latency.observe(value, "melanoma", "predict", "GRPC")
    found = scrape.parse(made.page(), "melanoma")
    assert found.ok == 3
    assert scrape.quantile(found.latency, 0.5) == pytest.approx(1.5, abs=0.8)


@functools.cache
def key_of(owner: str) -> RSAKey:
    """A key of this owner; made once, which takes a tenth of a second."""
    return RSAKey.generate_key(2048, parameters={"kid": "k1"})


class Issuer:
    """An OpenID provider with one key."""

    def __init__(self, inbox: Any) -> None:
        self.inbox = inbox
        self.key = key_of("provider")
        self.claims: dict[str, Any] = {}
        self.signer = self.key
        inbox.answers["/.well-known/openid-configuration"] = self._json(
            {
                "issuer": inbox.url,
                "authorization_endpoint": f"{inbox.url}/authorize",
                "token_endpoint": f"{inbox.url}/token",
                "jwks_uri": f"{inbox.url}/keys",
                "userinfo_endpoint": f"{inbox.url}/userinfo",
                "end_session_endpoint": f"{inbox.url}/end",
            }
        )
        inbox.answers["/keys"] = self._json({"keys": [self.key.as_dict(private=False)]})

    def issue(self, sent: str, /, **change: Any) -> None:
        """What the token endpoint will say."""
        claims = {
            "iss": self.inbox.url, "aud": "dash", "sub": "42", "nonce": sent, "exp": int(time.time()) + 300,
            "preferred_username": "mira", "groups": ["dermatology", "mlops"],
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims | change, self.signer)
        self.inbox.answers["/token"] = self._json(
            {"id_token": token, "access_token": "x", "token_type": "Bearer"}
        )

    @staticmethod
    def _json(document: Any) -> tuple[int, bytes]:
        return 200, json.dumps(document).encode()


@pytest.fixture
def provided(build: Any, inbox: Any, tmp_path: Path) -> tuple[Any, Issuer]:
    (tmp_path / "secret").write_text("s3cret")
    issuer = Issuer(inbox)
    running = build(
        oidc_issuer=inbox.url,
        oidc_client_id="dash",
        oidc_client_secret_file=tmp_path / "secret",
        oidc_roles={"dermatology": "reviewer", "mlops": "approver"},
    )
    return running, issuer


def leave(running: Any) -> tuple[Any, dict[str, str]]:
    """Go to the provider; the visitor, and what the address says."""
    visitor = running.visitor()
    assert "Sign in with your organisation" in visitor.get("/sign-in").text
    away = visitor.get("/sign-in/oidc").headers["location"]
    return visitor, {key: value[0] for key, value in parse_qs(urlsplit(away).query).items()}


def test_somebody_of_the_provider_comes_in_with_the_highest_role_of_the_groups(provided: Any) -> None:
    running, issuer = provided
    visitor, sent = leave(running)
    assert (sent["client_id"], sent["code_challenge_method"]) == ("dash", "S256")
    issuer.issue(sent["nonce"])
    answer = visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": sent["state"]})
    assert answer.status_code == 303, answer.text
    account = visitor.json("/account")
    assert (account["name"], account["role"], account["local"]) == ("mira", "approver", False)
    token_call = next(body for path, _, body in issuer.inbox.received if path == "/token")
    assert "code_verifier" in parse_qs(token_call.decode())


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"nonce": "replayed"},
        {"exp": 5},
        {"groups": ["visitors"]},
    ],
)
def test_a_token_that_is_not_for_this_sign_in_opens_nothing(provided: Any, change: dict[str, Any]) -> None:
    running, issuer = provided
    visitor, sent = leave(running)
    issuer.issue(sent["nonce"], **change)
    answer = visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": sent["state"]})
    assert answer.status_code == 403
    assert visitor.get("/runs").status_code == 303


def test_a_foreign_key_and_a_foreign_state_open_nothing(provided: Any) -> None:
    running, issuer = provided
    issuer.signer = key_of("somebody else")
    visitor, sent = leave(running)
    issuer.issue(sent["nonce"])
    assert (
        visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": sent["state"]}).status_code == 403
    )
    assert visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": "other"}).status_code == 403
    assert running.visitor().get("/sign-in/oidc/callback", params={"state": sent["state"]}).status_code == 403


def come_back(running: Any, issuer: Issuer, **change: Any) -> tuple[Any, Any]:
    visitor, sent = leave(running)
    issuer.issue(sent["nonce"], **change)
    return visitor, visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": sent["state"]})


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("realm_access.roles", {"groups": None, "realm_access": {"roles": ["offline", "mlops"]}}),
        ("https://x.example/groups", {"groups": None, "https://x.example/groups": ["mlops"]}),
        ("groups", {"groups": [{"name": "mlops"}, {"id": "7"}]}),
        ("groups", {"groups": "mlops"}),
    ],
)
def test_groups_are_found_however_a_provider_writes_them(
    build: Any, inbox: Any, tmp_path: Path, claim: str, change: dict[str, Any]
) -> None:
    (tmp_path / "secret").write_text("s3cret")
    issuer = Issuer(inbox)
    running = build(
        oidc_issuer=inbox.url, oidc_client_id="dash", oidc_client_secret_file=tmp_path / "secret",
        oidc_roles={"mlops": "approver"}, oidc_roles_claim=claim,
    )  # fmt: skip
    visitor, answer = come_back(running, issuer, **change)
    assert answer.status_code == 303, answer.text
    assert visitor.json("/account")["role"] == "approver"


def test_groups_come_from_userinfo_where_the_token_has_none(provided: Any) -> None:
    running, issuer = provided
    issuer.inbox.answers["/userinfo"] = (200, json.dumps({"sub": "42", "groups": ["mlops"]}).encode())
    visitor, answer = come_back(running, issuer, groups=None)
    assert answer.status_code == 303, answer.text
    assert visitor.json("/account")["role"] == "approver"
    issuer.inbox.answers["/userinfo"] = (200, json.dumps({"sub": "43", "groups": ["mlops"]}).encode())
    _, other = come_back(running, issuer, groups=None)
    assert other.status_code == 403
    assert "claim sub" in other.text
    issuer.inbox.answers["/userinfo"] = (200, json.dumps({"sub": "42"}).encode())
    _, none = come_back(running, issuer, groups=None)
    assert "claim groups is neither in the ID token nor in userinfo" in none.text


def test_a_clock_two_minutes_off_is_forgiven_and_the_claim_of_a_fault_is_named(provided: Any) -> None:
    running, issuer = provided
    assert come_back(running, issuer, exp=int(time.time()) - 60)[1].status_code == 303
    late = come_back(running, issuer, exp=int(time.time()) - 200)[1]
    assert "claim exp" in late.text
    for claim, value in (("aud", "other"), ("iss", "https://evil.example"), ("nonce", "replayed")):
        answer = come_back(running, issuer, **{claim: value})[1]
        assert answer.status_code == 403
        assert f"{claim}" in answer.text.partition("trusted: ")[2], answer.text


def test_two_tabs_come_back_each_to_the_page_it_asked_for(provided: Any) -> None:
    running, issuer = provided
    visitor = running.visitor()
    places = ("/models?x=1", "/field/review")
    away = []
    for place in places:
        door = visitor.get(place).headers["location"]
        link = re.search(r'href="(/sign-in/oidc[^"]*)"', visitor.get(door).text)
        assert link is not None
        sent = parse_qs(urlsplit(visitor.get(link[1]).headers["location"]).query)
        away.append((sent["state"][0], sent["nonce"][0]))
    for place, (state, nonce) in zip(places, away, strict=True):
        issuer.issue(nonce)
        answer = visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": state})
        assert answer.headers["location"] == place, answer.text
    outside = visitor.get("/sign-in/oidc?next=https://evil.example").headers["location"]
    sent = parse_qs(urlsplit(outside).query)
    issuer.issue(sent["nonce"][0])
    answer = visitor.get("/sign-in/oidc/callback", params={"code": "c", "state": sent["state"][0]})
    assert answer.headers["location"] == "/runs"


def test_signing_out_ends_the_session_at_the_provider_too(provided: Any) -> None:
    running, issuer = provided
    visitor, _ = come_back(running, issuer)
    answer = visitor.post("/sign-out", headers={"accept": "text/html"})
    assert answer.status_code == 200
    away = re.search(r'content="0;url=([^"]*)"', answer.text)
    assert away is not None
    address = urlsplit(away[1].replace("&amp;", "&"))
    sent = parse_qs(address.query)
    assert address.path == "/end"
    assert sent["id_token_hint"][0].count(".") == 2
    assert sent["post_logout_redirect_uri"][0].endswith("/sign-in")
    assert visitor.get("/runs").status_code == 303
    local = running.signed_in("viewer")
    assert local.post("/sign-out").headers["location"] == "/sign-in"


def test_an_authority_of_ones_own_is_trusted(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=clinic", "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (tmp_path / "secret").write_text("s3cret")
    server = Inbox()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.url = server.url.replace("http://", "https://")
    issuer = Issuer(server)
    settings = {
        "oidc_issuer": server.url, "oidc_client_id": "dash", "oidc_client_secret_file": tmp_path / "secret",
        "oidc_roles": {"mlops": "approver"},
    }  # fmt: skip
    refused = build(**settings).visitor().get("/sign-in/oidc")
    assert refused.status_code == 502
    assert "CERTIFICATE_VERIFY_FAILED" in refused.text
    assert come_back(build(**settings, oidc_ca_file=tmp_path / "ca.pem"), issuer)[1].status_code == 303
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert come_back(build(**settings), issuer)[1].status_code == 303
    server.server.shutdown()
    server.server.server_close()


def test_runs_on_the_cluster_stand_beside_those_here(build: Any, inbox: Any) -> None:
    run = {
        "run_id": "0b1c", "display_name": "nightly", "state": "RUNNING", "created_at": "2026-11-21T10:00:00Z",
        "runtime_config": {"parameters": {"preset": "full", "data_version": "f" * 64}},
        "run_details": {"task_details": [
            {"display_name": "trainer", "state": "SUCCEEDED", "start_time": "2026-11-21T10:00:00Z",
             "end_time": "2026-11-21T10:05:00Z"}]},
    }  # fmt: skip
    inbox.answers["/apis/v2beta1/runs"] = (200, json.dumps({"runs": [run], "total_size": 1}).encode())
    inbox.answers["/apis/v2beta1/runs/0b1c"] = (200, json.dumps(run).encode())
    inbox.answers["*"] = (404, b"{}")
    running = build(kfp_url=inbox.url)
    viewer = running.signed_in("viewer")
    found = [one for one in viewer.json("/runs")["runs"] if one["origin"] == "cluster"]
    assert [(one["run_id"], one["state"], one["preset"]) for one in found] == [("0b1c", "running", "full")]
    page = viewer.json("/runs/0b1c")
    assert [(task["name"], task["seconds"]) for task in page["tasks"]] == [("trainer", 300.0)]
    assert viewer.get("/runs/0b1c").status_code == 200


def test_a_cluster_that_is_away_is_said_and_holds_nothing_up() -> None:
    cluster = Cluster("http://127.0.0.1:1", "")
    assert cluster.runs() == []
    assert "127.0.0.1:1" in cluster.trouble
    assert cluster.run("x") is None


def test_the_description_names_every_route_with_its_answers(dash: Any) -> None:
    description = dash.app.openapi()
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description") or operation.get("summary"), (method, path)
            assert any(status.startswith(("2", "3")) for status in operation["responses"]), (method, path)
    assert "multipart/form-data" in description["paths"]["/api/v1/predict"]["post"]["requestBody"]["content"]


LIMITS = hypothesis.settings(
    max_examples=4,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def check(base: str, headers: dict[str, str], checks: list[Any]) -> Any:
    """Send one case and look at its answer."""

    def one(case: Any) -> None:
        answer = case.call(base_url=base, headers=headers)
        case.validate_response(answer, checks=checks)

    return one


@pytest.mark.slow
def test_schemathesis_finds_no_answer_that_is_not_described(build: Any, double: Any, serve: Any) -> None:
    running = build(rate_limit_per_minute=100_000, device_rate_limit_per_minute=100_000)
    visitor = running.signed_in("admin")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.client.cookies.jar)
    schema = schemathesis.openapi.from_dict(running.app.openapi())
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.status_code_conformance,
        schemathesis.checks.content_type_conformance,
        schemathesis.checks.response_schema_conformance,
    ]
    base = serve(running)
    token = running.token("predict", "report", device="pi-003")
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ("/events", "/openapi.json") or operation.method.upper() not in (
            "GET",
            "PUT",
            "POST",
        ):
            continue
        # Forms of people need their mark: without it the answer is 403, which is described as well.
        headers = (
            token if operation.path.startswith("/api/") else {"cookie": cookies, "accept": "application/json"}
        )

        hypothesis.given(case=operation.as_strategy())(LIMITS(check(base, headers, checks)))()
        tried += 1
    assert tried > 40
