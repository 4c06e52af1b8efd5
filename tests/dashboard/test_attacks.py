"""An attacker's list, tried one by one."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import rate_limit
from dashboard.access import cookie, trusted
from dashboard.sample import picture as draw
from dashboard.settings import Settings
from dashboard.views.sign_in import OPEN
from tests.dashboard.rig import mark


def routes(running: Any) -> list[tuple[str, str]]:
    """Every operation with an address that could exist."""
    services = running.services
    values = {
        "run_id": services.runs.ids()[0],
        "name": services.registry.names()[0],
        "version": services.registry.all()[0].data_version,
        "number": "1",
        "row": "0",
        "image": "SAMPLE_0_test_00000",
        "path": "FeatureStats.pb",
        "device_id": "pi-003",
        "examination_id": "e1",
    }
    found = [
        (method.upper(), re.sub(r"\{(\w+)(:path)?\}", lambda match: values[match[1]], path))
        for path, operations in running.app.openapi()["paths"].items()
        for method in operations
    ]
    return [*found, ("GET", "/"), ("GET", "/openapi.json")]


def test_no_route_answers_a_stranger(dash: Any) -> None:
    stranger = dash.visitor()
    tried = [(method, path) for method, path in routes(dash) if path not in OPEN]
    assert len(tried) > 45
    for method, path in tried:
        for accept in ("text/html", "application/json"):
            answer = stranger.client.request(method, path, headers={"accept": accept})
            assert answer.status_code in (303, 401), (method, path, answer.status_code)
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/sign-in"), path
            assert "melanoma" not in answer.text
    assert dash.services.registry.events()[-1].action == "pushed"


def test_forged_cookies_and_tokens_open_nothing(dash: Any) -> None:
    stranger = dash.visitor()
    for value in ("x" * 43, "' OR 1=1 --", ""):
        assert (
            stranger.get("/runs", headers={"cookie": f"{cookie(dash.services)}={value}"}).status_code == 303
        )
        answer = stranger.client.get("/metrics", headers={"authorization": f"Bearer mds_{value}"})
        assert answer.status_code == 401


@pytest.mark.parametrize("sent", ["", "0" * 64, "mine"])
def test_a_change_without_our_forms_mark_is_refused(dash: Any, sent: str) -> None:
    approver, other = dash.signed_in("approver"), dash.signed_in("approver", "second")
    if sent == "mine":  # another person's mark is not this person's
        sent = mark(other.get("/account").text)
    for path in ("/models/rollback", "/sign-out", "/alerts/rules"):
        answer = approver.client.post(path, data={"csrf": sent, "why": "because"})
        assert answer.status_code == 403, path
    assert dash.services.registry.events()[-1].action == "pushed"
    assert approver.get("/runs").status_code == 200


def test_another_site_cannot_send_our_form(dash: Any) -> None:
    approver = dash.signed_in("approver")
    answer = approver.post("/models/rollback", {"why": "because"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


def test_the_door_needs_the_mark_too(dash: Any) -> None:
    answer = dash.visitor().client.post("/sign-in", data={"name": "admin", "password": "x"})
    assert answer.status_code == 403


def test_a_session_planted_before_sign_in_is_worth_nothing_after(dash: Any) -> None:
    visitor = dash.visitor()
    planted = "planted-by-somebody-who-waits"
    visitor.client.cookies.set(cookie(dash.services), planted)
    visitor.sign_in("victim", "viewer")
    assert visitor.client.cookies.get(cookie(dash.services), domain="127.0.0.1") != planted
    attacker = dash.visitor()
    assert attacker.get("/runs", headers={"cookie": f"{cookie(dash.services)}={planted}"}).status_code == 303


def test_signing_out_ends_the_session_at_the_server(dash: Any) -> None:
    visitor = dash.signed_in("viewer")
    stolen = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.client.cookies.jar)
    assert dash.visitor().get("/runs", headers={"cookie": stolen}).status_code == 200
    assert visitor.post("/sign-out").status_code == 303
    assert dash.visitor().get("/runs", headers={"cookie": stolen}).status_code == 303


INJECTIONS = (
    "' OR '1'='1",
    "1; DROP TABLE predictions",
    "%' UNION SELECT password FROM users --",
    "\\",
    "%",
    "_",
)


def test_sql_in_every_text_a_query_takes_is_only_text(filled: Any) -> None:
    viewer = filled.signed_in("viewer")
    for text in INJECTIONS:
        assert viewer.json("/devices", params={"search": text})["total"] == 0 if text not in "_" else True
        assert viewer.json("/lineage", params={"image": text})["matches"] == []
        assert viewer.json("/field/predictions", params={"device": text})["answers"] == []
        for path in (
            "/field/predictions?version=",
            "/field/predictions?before=",
            "/runs?state=",
            "/audit?action=",
        ):
            assert viewer.get(path + text.replace("%", "%25")).status_code in (403, 422), (path, text)
    assert len(viewer.json("/field/predictions")["answers"]) == 50


MARKUP = "{{ 7*7 }}<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_templates_and_scripts_in_what_people_write_stay_text(dash: Any) -> None:
    approver = dash.signed_in("approver")
    assert approver.roll_back(MARKUP).status_code == 303
    assert (
        approver.post("/field/predictions/1/outcome", {"outcome": "benign", "comment": MARKUP}).status_code
        == 303
    )
    rule = {"name": MARKUP, "kind": "device_hot", "limit": "80"}
    assert approver.post("/alerts/rules", rule).status_code == 303
    for path in (
        "/models",
        "/audit",
        "/field/predictions/1",
        "/alerts",
        f"/lineage?image={MARKUP.replace('#', '')}",
    ):
        text = approver.get(path).text
        assert "{{ 7*7 }}" in text, path
        assert "<script>alert" not in text
        assert "<img src=x" not in text


TRAVERSALS = (
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/registry/events.jsonl",
    "/etc/passwd",
    "Split-train/../../../../../dashboard/secret.key",
    "Split-train/%00",
    "Split-train",
)


def test_no_address_leads_out_of_an_artifact(dash: Any, workspace: Path) -> None:
    viewer = dash.signed_in("viewer")
    run = dash.services.runs.ids()[0]
    node = next(node for node in dash.services.metadata.nodes(run) if node.name == "StatisticsGen")
    base = f"/artifacts/{node.outputs[0].id}/files/"
    good = viewer.client.get(base + "Split-train/FeatureStats.pb")
    assert good.status_code == 200
    assert "attachment" in good.headers["content-disposition"]
    assert "sandbox" in good.headers["content-security-policy"]
    folder = dash.services.workspace.located(node.outputs[0].uri)
    (folder / "link").symlink_to(workspace / "dashboard" / "secret.key")
    for path in (*TRAVERSALS, "link"):
        answer = viewer.client.get(base + path)
        assert answer.status_code in (303, 400, 404), path
        assert "root:" not in answer.text
    for run_id in ("..", "%2e%2e", "..%2f..", "%00"):
        assert viewer.client.get(f"/runs/{run_id}/report").status_code in (400, 404)
        assert viewer.client.get(f"/runs/{run_id}/log").status_code in (400, 404)
    version = dash.services.registry.names()[0]
    assert viewer.client.get(f"/models/{version}/images/..%2f..%2fsecret.key").status_code == 404
    assert viewer.client.get("/static/..%2fapp.py").status_code == 404


def test_an_artifact_that_lies_elsewhere_is_not_followed(dash: Any, workspace: Path) -> None:
    import sqlite3

    store = sqlite3.connect(workspace / "metadata.sqlite")
    store.execute("UPDATE Artifact SET uri = '/etc' WHERE id = 1")
    store.commit()
    store.close()
    assert dash.signed_in("viewer").get("/artifacts/1").status_code == 404


def test_a_quarantine_table_cannot_name_a_file_outside(dash: Any, workspace: Path) -> None:
    table = workspace / "data" / "set-0" / "quarantine.csv"
    (workspace / "dashboard" / "picture.jpg").write_bytes(draw(1))
    table.write_text(
        "image_name,reason,file\nA,duplicate,quarantine/copy-0.jpg\nB,duplicate,../../dashboard/picture.jpg\n"
    )
    viewer = dash.signed_in("viewer")
    for run in dash.services.runs.all():
        document = workspace / "runs" / run.run_id / "run.json"
        document.write_text(document.read_text().replace(run.data, str(table.parent)))
    version = dash.services.runs.all()[0].data_version
    assert viewer.client.get(f"/data/{version}/quarantine/0").headers["content-type"] == "image/jpeg"
    assert viewer.client.get(f"/data/{version}/quarantine/1").status_code == 404


NO_PICTURES = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "gif": b"GIF89a" + b"\0" * 40,
    "jpeg that is none": b"\xff\xd8\xff\xe0" + b"<script>" * 20,
    "png that is none": b"\x89PNG\r\n\x1a\n" + b"\0" * 60,
    "empty": b"",
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_never_reaches_the_model(build: Any, double: Any, kind: str) -> None:
    running = build()
    answer = running.client.post(
        "/api/v1/predict",
        headers=running.token("predict"),
        files={"image": ("lesion.jpg", NO_PICTURES[kind], "image/jpeg")},
    )
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"].startswith("image[0] ")
    assert double.asked == []


def test_uploads_that_are_too_large_are_refused(build: Any, double: Any, picture: bytes) -> None:
    running = build(predict_max_bytes=10_000, predict_max_pixels=2000, predict_max_images=2)
    token = running.token("predict")

    def send(*images: bytes) -> Any:
        return running.client.post(
            "/api/v1/predict",
            headers=token,
            files=[("image", ("a.jpg", image, "image/jpeg")) for image in images],
        )

    assert send(picture + b"\0" * 10_001).status_code == 413
    assert send(b"\xff" * 200_000).status_code == 413  # by its length, before a byte is read
    assert send(picture, picture, picture).status_code == 413
    answer = send(picture)
    assert answer.status_code == 422
    assert "96 x 96 pixels" in answer.json()["error"]

    def endless() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        for _ in range(100):
            yield b"\xff" * 10_000

    headers = token | {"content-type": "multipart/form-data; boundary=b"}
    assert running.client.post("/api/v1/predict", headers=headers, content=endless()).status_code in (
        400,
        413,
    )
    assert double.asked == []


def test_guessing_passwords_is_stopped_even_when_the_right_one_comes(build: Any) -> None:
    running = build(sign_in_attempts=3)
    user = running.services.accounts.make("victim", "admin", "test")
    running.services.accounts.set_password(user.id, "a long sentence nobody guesses")
    visitor = running.visitor()

    def guess(password: str, name: str = "victim") -> Any:
        csrf = mark(visitor.get("/sign-in").text)
        return visitor.client.post("/sign-in", data={"csrf": csrf, "name": name, "password": password})

    assert [guess(f"guess {i}").status_code for i in range(3)] == [401, 401, 401]
    stopped = guess("a long sentence nobody guesses")
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) > 60
    unknown = guess("x", name="nobody-of-that-name")
    assert unknown.status_code == 401
    assert "Name or password is wrong." in unknown.text
    found = running.signed_in("admin", "second").json("/audit?action=sign-in.fail")
    assert found["total"] == 4
    assert "guess 1" not in str(found)


def test_a_device_is_no_user_and_a_user_no_device(dash: Any) -> None:
    device = dash.token("predict", "report", device="pi-003")
    stranger = dash.visitor()
    for method, path in routes(dash):
        if path in OPEN or path.startswith("/api/v1/"):
            continue
        answer = stranger.client.request(method, path, headers=device | {"accept": "application/json"})
        assert answer.status_code in (401, 403), (method, path, answer.status_code)
    token = device["Authorization"].split()[1]
    assert stranger.get("/runs", headers={"cookie": f"{cookie(dash.services)}={token}"}).status_code == 303
    admin = dash.signed_in("admin")
    csrf = mark(admin.get("/account").text)
    answer = admin.client.post("/api/v1/devices/pi-003/heartbeat", json={}, headers={"x-csrf-token": csrf})
    assert answer.status_code == 401


def test_a_page_of_another_name_is_not_served(dash: Any) -> None:
    answer = dash.visitor().client.get("/healthz", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_prometheus_asks_by_address_and_needs_its_token(dash: Any) -> None:
    token = dash.token("metrics")
    client = dash.visitor().client
    host = {"host": "10.1.2.3:8080"}
    assert client.get("/metrics", headers=host | token).status_code == 200
    assert client.get("/metrics", headers=host).status_code in (303, 401)


def test_every_answer_carries_the_headers_and_no_inline_script(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    for path in ("/runs", "/nope", "/static/dashboard.css", "/healthz", "/sign-in"):
        headers = viewer.get(path).headers
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    text = viewer.get("/models").text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|javascript:", text)
    assert "http" not in "".join(re.findall(r'(?:src|href)="([^"]*)"', text))


def test_with_tls_cookies_belong_to_the_host_alone(build: Any) -> None:
    running = build(public_url="https://dash.example")
    answer = running.visitor().client.get("/sign-in", headers={"host": "dash.example"})
    sent = answer.headers["set-cookie"]
    assert sent.startswith("__Host-melanosizer-visitor-")
    assert "Secure" in sent
    assert "HttpOnly" in sent
    assert "samesite=lax" in sent.lower()
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")


def test_the_door_leads_nowhere_else(dash: Any) -> None:
    for place in ("//evil.example", "https://evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:a=b"):
        page = (
            dash.visitor()
            .client.get("/sign-in", params={"next": place}, headers={"accept": "text/html"})
            .text
        )
        assert 'name="next" value="/runs"' in page or "%0d%0a" in place


def test_a_proxy_is_trusted_by_its_network() -> None:
    proxies = Settings(trusted_proxies=["10.244.0.0/16", "192.0.2.7"]).trusted_proxies
    believed = [
        host for host in ("10.244.3.9", "10.245.0.1", "192.0.2.7", "testclient") if trusted(host, proxies)
    ]
    assert believed == ["10.244.3.9", "192.0.2.7"]


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A token comes back every 20 s, which five requests may take on a busy machine.
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: 100.0))
    running = build(rate_limit_per_minute=3)
    answers = [
        running.visitor().client.get(
            "/runs", headers={"accept": "application/json", "x-forwarded-for": f"10.0.0.{i}"}
        )
        for i in range(5)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
