"""Every setting of the dashboard, from a YAML file and from `MELANOSIZER_DASHBOARD_*` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, HttpUrl, IPvAnyNetwork, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as VariableError

from core.errors import UsageError
from core.settings import explain

PREFIX = "MELANOSIZER_DASHBOARD_"


class SettingsError(UsageError):
    """A setting that cannot be used; the text names the key, the value and what would be valid."""


class Settings(BaseSettings):
    """What an operator may choose; every field is documented in docs/dashboard.md (a test compares)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    workspace: Path = Field(Path("workspace"), description="Folder that `melanosizer run` writes.")
    model_name: str = Field("melanoma", pattern=r"^[a-z0-9_-]{1,64}$", description="Model that is watched.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8600, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/]+)?$",
        description="Address people type, without a path. With https:// cookies are marked Secure and HSTS is sent.",
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="Addresses and networks (10.0.0.0/8) of proxies whose X-Forwarded-For is believed. Behind an "
        "ingress give its pods' network: else all callers share one address and its limits.",
    )
    state_dir: Path | None = Field(
        None, description="Secret key, database and thumbnails; WORKSPACE/dashboard where empty."
    )
    database_url: str = Field(
        "",
        description="SQLAlchemy URL, e.g. postgresql+psycopg://user@host/name; a SQLite file in state_dir where empty.",
    )
    model_server: str = Field(
        "127.0.0.1:8500", description="gRPC address of TF Serving or the embedded server."
    )
    model_server_ca_file: Path | None = Field(
        None, description="PEM authority of the server; plain text without."
    )
    model_server_token_file: Path | None = Field(None, description="Bearer token sent to the model server.")
    model_server_metrics_url: HttpUrl | None = Field(
        HttpUrl("http://127.0.0.1:8501/monitoring/prometheus/metrics"),
        description="Its Prometheus page; empty for none.",
    )
    model_server_label: str = Field(
        "", description="Version label to ask, e.g. stable; the server's choice without."
    )
    source_dirs: tuple[Path, ...] = Field(
        (), description="Folders ingest read from; thumbnails of files it left out come from there."
    )
    prediction_log: Path | None = Field(
        None,
        description="The server's predictions.jsonl; WORKSPACE/predictions/predictions.jsonl where empty.",
    )
    predict_timeout_s: float = Field(10.0, gt=0, le=120, description="Longest wait for an answer, seconds.")
    predict_max_images: int = Field(32, ge=1, le=256, description="Images in one request.")
    predict_max_bytes: int = Field(16_777_216, ge=1024, description="Bytes of one image.")
    predict_max_pixels: int = Field(50_000_000, ge=1024, description="Pixels of one image.")
    second_person: Literal["none", "promotions", "all"] = Field(
        "none",
        description="Which releases wait for a second approver: none, promotions, or rollbacks as well (all).",
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="A session ends this long after sign-in.")
    session_idle_minutes: float = Field(
        120.0, gt=0, description="A session ends after this long without a request."
    )
    sign_in_attempts: int = Field(
        5, ge=1, description="Wrong passwords, of one account or address, before a pause."
    )
    sign_in_pause_minutes: float = Field(15.0, gt=0, description="How long that pause is.")
    password_min_length: int = Field(12, ge=8, le=128, description="Shortest password.")
    rate_limit_per_minute: int = Field(600, ge=1, description="Requests of one person or address.")
    device_rate_limit_per_minute: int = Field(600, ge=1, description="Requests of one token.")
    oidc_issuer: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="OpenID provider; empty for local accounts."
    )
    oidc_client_id: str = Field("", description="Client id at the provider.")
    oidc_client_secret_file: Path | None = Field(None, description="File with the client secret.")
    oidc_ca_file: Path | None = Field(
        None,
        description="PEM authority of the provider, beside the usual ones; SSL_CERT_FILE counts as well.",
    )
    oidc_roles_claim: str = Field(
        "groups",
        description="Claim that lists a person's groups, e.g. `realm_access.roles`; of the ID token, else of userinfo.",
    )
    oidc_roles: dict[str, Literal["viewer", "reviewer", "approver", "admin"]] = Field(
        {}, description="Role of each group; without a match there is no access."
    )
    kfp_url: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Kubeflow Pipelines API; empty for local runs."
    )
    kfp_namespace: str = Field("", description="Namespace of the runs on the cluster.")
    retention_days: int = Field(
        365, ge=1, description="Predictions, examinations and heartbeats are deleted after this."
    )
    sample_seconds: float = Field(
        5.0, gt=0, le=300, description="How often the model server's metrics are read."
    )
    alert_seconds: float = Field(30.0, gt=0, le=3600, description="How often alert rules are evaluated.")
    watch_seconds: float = Field(
        1.0, gt=0, le=60, description="How often the workspace is looked at for changes."
    )
    webhook_url: HttpUrl | None = Field(None, description="Gets a POST for each alert.")
    webhook_secret_file: Path | None = Field(
        None, description="Key of the X-Melanosizer-Signature (HMAC-SHA256)."
    )
    smtp_host: str = Field("", description="Mail server for alerts; empty for none.")
    smtp_port: int = Field(25, ge=1, le=65535, description="Its port; 465 speaks TLS from the start.")
    smtp_starttls: bool = Field(False, description="Change to TLS before sending.")
    smtp_user: str = Field("", description="Account at the mail server.")
    smtp_password_file: Path | None = Field(None, description="File with its password.")
    email_from: str = Field("melanosizer@localhost", description="Sender of alerts.")
    email_to: tuple[str, ...] = Field((), description="Receivers of alerts.")
    retrain_command: tuple[str, ...] = Field(
        (),
        description="Command a rule with the action `retrain` starts, e.g. [melanosizer, run, --data, DIR].",
    )
    retrain_pause_hours: float = Field(24.0, ge=0, description="Least time between two runs a rule starts.")
    min_slice_positives: int = Field(
        10, ge=1, description="Slices with fewer melanomas are marked as too small."
    )

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_client_secret_file):
            raise ValueError("oidc_issuer needs oidc_client_id and oidc_client_secret_file as well")
        if self.email_to and not self.smtp_host:
            raise ValueError("email_to needs smtp_host as well")
        return self

    @property
    def state(self) -> Path:
        """Folder of the dashboard's own files."""
        return self.state_dir or self.workspace / "dashboard"

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take an empty text, all that a variable can hold, for nothing where a setting may be nothing."""
        optional = {
            name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)
        }
        return {key: None if value == "" and key in optional else value for key, value in values.items()}

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.state / 'dashboard.sqlite').absolute()}"

    @property
    def predictions(self) -> Path:
        """The model server's prediction log."""
        return self.prediction_log or self.workspace / "predictions" / "predictions.jsonl"

    @property
    def secure(self) -> bool:
        """True when people reach the dashboard over TLS."""
        return self.public_url.startswith("https://")


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """Settings of a YAML file under the environment's, under `overrides` that are not None.

    Raises:
        SettingsError: an unknown key, a bad value, an unreadable file.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}") from None
        if not isinstance(found, dict | None):
            raise SettingsError(f"{path}: must be a table of settings, e.g. `port: 8600`")
        values = dict(found or {})
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        environment = Settings().model_fields_set if path is not None else set()
        for key in environment - {k for k, v in overrides.items() if v is not None}:
            values.pop(key, None)
        return Settings(**values)
    except VariableError as error:
        # Of a list or a table: pydantic-settings reads JSON.
        example = f"{PREFIX}EMAIL_TO='[\"ward@clinic.example\"]'"
        raise SettingsError(f"{error}: a variable holds lists and tables as JSON, e.g. {example}") from None
    except ValidationError as error:
        raise SettingsError("; ".join(explain(error, Settings))) from None
