"""The tables. Times are milliseconds since 1970, UTC; no table has a column for a patient's name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

# SQLite numbers rows by itself only in a column of exactly this type.
Big = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """All tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON}  # noqa: RUF012 - SQLAlchemy reads it so


class User(Base):
    """A person."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str | None] = mapped_column(String(200))
    subject: Mapped[str | None] = mapped_column(String(255), unique=True)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    created: Mapped[int]
    signed_in: Mapped[int | None]
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC", server_default="UTC")


class Session(Base):
    """A browser somebody is signed in with; only a digest of its cookie is kept."""

    __tablename__ = "sessions"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created: Mapped[int]
    seen: Mapped[int]
    expires: Mapped[int] = mapped_column(index=True)
    # What the OpenID provider is shown at sign-out; empty for local accounts.
    id_token: Mapped[str] = mapped_column(Text, default="", server_default="")


class SignInLink(Base):
    """A link that signs somebody in once."""

    __tablename__ = "sign_in_links"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires: Mapped[int]


class SignInFailure(Base):
    """Wrong passwords in a row, by account or by address."""

    __tablename__ = "sign_in_failures"
    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    first: Mapped[int]
    until: Mapped[int]


class Audit(Base):
    """One line of the audit log; database triggers refuse to change or delete it."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    at: Mapped[int] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(String(160))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(200))
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class Token(Base):
    """A bearer token of a device or a service; only a digest is kept."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(120))
    device_id: Mapped[str | None] = mapped_column(String(64), index=True)
    scopes: Mapped[str] = mapped_column(String(120))
    created: Mapped[int]
    created_by: Mapped[str] = mapped_column(String(160))
    expires: Mapped[int | None]
    revoked: Mapped[int | None]
    used: Mapped[int | None]


class EnrolmentCode(Base):
    """A code with which one device signs on once."""

    __tablename__ = "enrolment_codes"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[str] = mapped_column(String(160))
    expires: Mapped[int]


class Device(Base):
    """A device, as its last heartbeat described it."""

    __tablename__ = "devices"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    first_seen: Mapped[int]
    last_seen: Mapped[int] = mapped_column(index=True)
    model_version: Mapped[str] = mapped_column(String(64), default="", index=True)
    software: Mapped[str] = mapped_column(String(64), default="")
    queue_depth: Mapped[int] = mapped_column(Integer, default=0)
    temperature: Mapped[float | None] = mapped_column(Float)
    errors: Mapped[int] = mapped_column(Integer, default=0)
    answered: Mapped[int] = mapped_column(default=0)
    heartbeat: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class Heartbeat(Base):
    """What is kept of a heartbeat for the curves."""

    __tablename__ = "heartbeats"
    device_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[int] = mapped_column(primary_key=True, index=True)
    queue_depth: Mapped[int] = mapped_column(Integer)
    temperature: Mapped[float | None] = mapped_column(Float)
    errors: Mapped[int] = mapped_column(Integer)


class Prediction(MappedAsDataclass, Base, kw_only=True, eq=False):
    """One answered image, wherever it was answered; until the recorder has written it, it has no id."""

    __tablename__ = "predictions"
    __table_args__ = (
        UniqueConstraint("request_id", "row"),
        Index("ix_predictions_version_at", "version", "at"),
        Index("ix_predictions_device_id_at", "device_id", "at"),
        Index("ix_predictions_zone_at", "zone", "at"),
    )
    id: Mapped[int] = mapped_column(Big, primary_key=True, init=False)
    request_id: Mapped[str] = mapped_column(String(128))
    row: Mapped[int] = mapped_column(Integer)
    at: Mapped[int] = mapped_column(index=True)
    device_id: Mapped[str | None] = mapped_column(String(64), default=None)
    origin: Mapped[str] = mapped_column(String(16))  # gateway, server or device
    version: Mapped[str] = mapped_column(String(64))
    probability: Mapped[float] = mapped_column(Float)
    decision: Mapped[int] = mapped_column(Integer)
    threshold: Mapped[float] = mapped_column(Float)
    zone: Mapped[str] = mapped_column(String(16))
    out_of_distribution: Mapped[float | None] = mapped_column(Float, default=None)
    latency_ms: Mapped[float | None] = mapped_column(Float, default=None)
    sha256: Mapped[str | None] = mapped_column(String(64), index=True, default=None)
    width: Mapped[int | None] = mapped_column(Integer, default=None)
    height: Mapped[int | None] = mapped_column(Integer, default=None)
    bytes: Mapped[int | None] = mapped_column(default=None)
    brightness: Mapped[float | None] = mapped_column(Float, default=None)
    contrast: Mapped[float | None] = mapped_column(Float, default=None)
    redness: Mapped[float | None] = mapped_column(Float, default=None)
    sharpness: Mapped[float | None] = mapped_column(Float, default=None)
    outcome: Mapped[str | None] = mapped_column(String(16), index=True, default=None)


class Hour(Base):
    """Counts of one version in one hour, kept up to date with every answer."""

    __tablename__ = "hours"
    hour: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    answers: Mapped[int] = mapped_column(Integer)
    referred: Mapped[int] = mapped_column(Integer)
    reviewed: Mapped[int] = mapped_column(Integer)
    strange: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    probability: Mapped[float] = mapped_column(Float)
    latency_ms: Mapped[float] = mapped_column(Float)


class Bin(Base):
    """Answers of one version on one day whose feature fell into one bin, kept up to date."""

    __tablename__ = "bins"
    day: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    feature: Mapped[str] = mapped_column(String(24), primary_key=True)
    bin: Mapped[int] = mapped_column(Integer, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class VersionDevice(Base):
    """Answers of one version to one device: the lineage's last link."""

    __tablename__ = "version_devices"
    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    answers: Mapped[int]
    last: Mapped[int]


class Examination(Base):
    """A settled examination as its device reported it."""

    __tablename__ = "examinations"
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    device_id: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[int] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(24))
    digest: Mapped[str] = mapped_column(String(64))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    code: Mapped[str] = mapped_column(String(64), default="", server_default="", index=True)
    number: Mapped[int] = mapped_column(default=0, server_default="0", index=True)


class Review(Base):
    """An outcome a clinician entered; the newest of a prediction counts, the others stay."""

    __tablename__ = "reviews"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    prediction_id: Mapped[int] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    at: Mapped[int]
    who: Mapped[str] = mapped_column(String(160))
    outcome: Mapped[str] = mapped_column(String(16))
    basis: Mapped[str] = mapped_column(String(24))
    comment: Mapped[str] = mapped_column(Text, default="")


class Decision(Base):
    """A promotion or rollback: asked for, approved or refused, done."""

    __tablename__ = "decisions"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    action: Mapped[str] = mapped_column(String(16))
    version: Mapped[str] = mapped_column(String(64))
    served: Mapped[str | None] = mapped_column(String(64))
    why: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    asked_at: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), index=True)
    settled_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    settled_at: Mapped[int | None]
    comment: Mapped[str] = mapped_column(Text, default="")


class Rule(Base):
    """When to raise an alert."""

    __tablename__ = "rules"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    limit: Mapped[float] = mapped_column(Float)
    window_minutes: Mapped[int] = mapped_column(Integer)
    severity: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(16))
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    # An alert ends when the value is better than the limit by this much.
    margin: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    # How long a value must stand before an alert opens, and be good again before it ends.
    wait_minutes: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    deleted: Mapped[int | None]


class Alert(Base):
    """Something a rule found."""

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("rules.id", ondelete="CASCADE"), index=True)
    subject: Mapped[str] = mapped_column(String(160))
    severity: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(Float)
    opened: Mapped[int] = mapped_column(index=True)
    resolved: Mapped[int | None] = mapped_column(index=True)
    acknowledged: Mapped[int | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(160))
    snoozed_until: Mapped[int | None]
    snoozed_by: Mapped[str | None] = mapped_column(String(160))


class Delivery(Base):
    """A message about an alert, on its way by one channel."""

    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(Big, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str] = mapped_column(String(16))
    event: Mapped[str] = mapped_column(String(16), default="opened", server_default="opened")
    state: Mapped[str] = mapped_column(String(16), index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    due: Mapped[int]
    trouble: Mapped[str] = mapped_column(Text, default="")


class RunNote(Base):
    """What people added to a run; its files stay as the pipeline wrote them."""

    __tablename__ = "run_notes"
    run_id: Mapped[str] = mapped_column(String(160), primary_key=True)
    tags: Mapped[str] = mapped_column(String(400), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    archived: Mapped[int | None]
    changed: Mapped[int]
    changed_by: Mapped[str] = mapped_column(String(160))


class Cursor(Base):
    """How far a file was read."""

    __tablename__ = "cursors"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    inode: Mapped[int]
    offset: Mapped[int]


class DataSet(Base):
    """A data set whose records were indexed."""

    __tablename__ = "data_sets"
    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    folder: Mapped[str] = mapped_column(Text)
    images: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    trouble: Mapped[str] = mapped_column(Text, default="")


class DataImage(Base):
    """One image of a data set."""

    __tablename__ = "data_images"
    __table_args__ = (Index("ix_data_images_name", "name"), Index("ix_data_images_sha256", "sha256"))
    data_version: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(160), primary_key=True)
    split: Mapped[str] = mapped_column(String(8))
    target: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))


class DataCount(Base):
    """Images of one split with one value of one column, by class: the data page's bars."""

    __tablename__ = "data_counts"
    data_version: Mapped[str] = mapped_column(String(64), primary_key=True)
    column: Mapped[str] = mapped_column(String(24), primary_key=True)
    value: Mapped[str] = mapped_column(String(80), primary_key=True)
    split: Mapped[str] = mapped_column(String(8), primary_key=True)
    negatives: Mapped[int] = mapped_column(Integer)
    positives: Mapped[int] = mapped_column(Integer)


class Reference(Base):
    """The training data's distribution of one feature: what drift is measured against."""

    __tablename__ = "reference_bins"
    data_version: Mapped[str] = mapped_column(String(64), primary_key=True)
    feature: Mapped[str] = mapped_column(String(24), primary_key=True)
    bin: Mapped[int] = mapped_column(Integer, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
