"""Tells people of an alert: a signed webhook and e-mail, tried again with growing pauses."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
from email.message import EmailMessage

import httpx
from sqlalchemy import select

from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Alert, Delivery
from dashboard.settings import Settings

log = logging.getLogger(__name__)

ATTEMPTS = 8
PATIENCE_S = 10.0
FIRST_PAUSE = 10 * clock.SECOND
SIGNATURE = "X-Melanosizer-Signature"


def channels(settings: Settings) -> list[str]:
    """How people are told."""
    return [*(["webhook"] if settings.webhook_url else []), *(["email"] if settings.email_to else [])]


def deliver(database: Database, settings: Settings) -> None:
    """Try every message that is due once."""
    with database.read() as session:
        due = session.execute(
            select(Delivery, Alert)
            .join(Alert, Alert.id == Delivery.alert_id)
            .where(Delivery.state == "waiting", Delivery.due <= clock.now())
            .order_by(Delivery.id)
            .limit(20)
        ).all()
    for delivery, alert in due:
        send, trouble = (_post if delivery.channel == "webhook" else _mail), ""
        try:
            send(settings, alert, delivery.event)
        except (httpx.HTTPError, smtplib.SMTPException, OSError) as error:
            trouble = f"{type(error).__name__}: {error}"[:300]
        attempts = delivery.attempts + 1
        with database.write() as session:
            row = session.get_one(Delivery, delivery.id)
            row.attempts, row.trouble = attempts, trouble
            if not trouble:
                row.state = "sent"
            elif attempts >= ATTEMPTS:
                row.state = "failed"
            else:
                row.due = clock.now() + FIRST_PAUSE * 2 ** (attempts - 1)
        if trouble:
            log.warning("alert %d by %s, attempt %d: %s", alert.id, delivery.channel, attempts, trouble)


def _post(settings: Settings, alert: Alert, event: str) -> None:
    document = {name: getattr(alert, name) for name in ("id", "subject", "severity", "message", "value")}
    resolved = clock.stamp(alert.resolved) if alert.resolved else None
    document |= {"event": event, "opened": clock.stamp(alert.opened), "resolved": resolved}
    body = json.dumps(document, sort_keys=True).encode()
    headers = {"Content-Type": "application/json"}
    if settings.webhook_secret_file is not None:
        key = settings.webhook_secret_file.read_bytes().strip()
        headers[SIGNATURE] = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    # No redirects: the operator named this address and no other.
    answer = httpx.post(
        str(settings.webhook_url), content=body, headers=headers, timeout=PATIENCE_S, follow_redirects=False
    )
    answer.raise_for_status()


def _mail(settings: Settings, alert: Alert, event: str) -> None:
    message = EmailMessage()
    subject = f"{'resolved' if event == 'resolved' else alert.severity}: {alert.message[:120]}"
    message["Subject"] = f"[melanosizer] {subject}".replace("\n", " ")
    message["From"] = settings.email_from
    message["To"] = ", ".join(settings.email_to)
    where = f"\n\n{settings.public_url}/alerts" if settings.public_url else ""
    ended = f"\nresolved {clock.stamp(alert.resolved)}" if alert.resolved else ""
    message.set_content(f"{alert.message}\n\nopened {clock.stamp(alert.opened)}{ended}{where}\n")
    kind = smtplib.SMTP_SSL if settings.smtp_port == 465 else smtplib.SMTP
    with kind(settings.smtp_host, settings.smtp_port, timeout=PATIENCE_S) as server:
        if settings.smtp_starttls:
            server.starttls()
        if settings.smtp_user and settings.smtp_password_file is not None:
            server.login(settings.smtp_user, settings.smtp_password_file.read_text().strip())
        server.send_message(message)
