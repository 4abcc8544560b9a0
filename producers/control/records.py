"""What the control plane knows: one frozen model per kind of record.

Records grow by addition only: a reader ignores fields it does not know, and a new field has a default. Money is integer picodollars, times are integer
microseconds since the epoch, UTC. Secrets never show in a record's ``repr``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

Kind = Literal["project", "api_key", "price", "budget", "webhook"]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]
Picodollars = Annotated[int, Field(ge=0, lt=2**63)]
Microseconds = Annotated[int, Field(ge=0, lt=2**53)]

THRESHOLDS_MAX: Final = 20
PRICE_TIERS_MAX: Final = 50


class ControlRecord(BaseModel):
    """A record of the control-plane log."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: ClassVar[Kind]
    id: Identifier

    def unique_keys(self) -> tuple[str, ...]:
        """What no other record may hold at the same time, besides the id within its kind."""
        return ()


class Project(ControlRecord):
    kind = "project"
    name: str = Field(min_length=1, max_length=255)
    created_us: Microseconds


class ApiKey(ControlRecord):
    """A key pair; of the secret only a salted hash is kept."""

    kind = "api_key"
    project_id: Identifier
    public_key: str = Field(min_length=1, max_length=255)
    secret_hash: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """SHA-256 of salt + secret, hex. Secrets are random, so no slow hash is needed."""
    salt: str = Field(min_length=1, max_length=64, repr=False)
    created_us: Microseconds
    note: str = Field("", max_length=255)

    def unique_keys(self) -> tuple[str, ...]:
        return (f"public_key:{self.public_key}",)


class PriceTier(BaseModel):
    """Other prices under a condition; the first tier of a price whose conditions all hold applies."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_above: int | None = Field(None, ge=0)
    """Holds when the input units of one call, cached ones included, are more than this."""
    service_tiers: tuple[str, ...] = ()
    """Holds when the call's ``service_tier`` parameter is one of these; empty: whatever it is."""
    prices: dict[str, Picodollars]


class Price(ControlRecord):
    """What a unit of usage of a model costs, from a date on. A project's own price outranks one for all (``project_id`` none)."""

    kind = "price"
    project_id: Identifier | None = None
    match: str = Field(min_length=1, max_length=500)
    """Regular expression, matched in full against the model's name, case-insensitively."""
    provider: str | None = Field(None, max_length=100)
    effective_from_us: Microseconds = 0
    prices: dict[str, Picodollars]
    """Picodollars per unit by usage type."""
    tiers: tuple[PriceTier, ...] = Field((), max_length=PRICE_TIERS_MAX)

    @field_validator("match")
    @classmethod
    def _compiles(cls, match: str) -> str:
        try:
            re.compile(match)
        except re.error as error:
            message = f"not a regular expression: {error}"
            raise ValueError(message) from error
        return match


class Budget(ControlRecord):
    """How much a scope of a project may spend in a period, and at which shares of it to speak up."""

    kind = "budget"
    project_id: Identifier
    name: str = Field(min_length=1, max_length=255)
    scope: dict[Literal["user_id", "model", "environment"], str] = {}
    """Empty: the whole project."""
    period: Literal["day", "month"]
    time_zone: str = "UTC"
    """IANA name: where the day or month begins."""
    limit_pico: Annotated[int, Field(gt=0, lt=2**63)]
    thresholds: tuple[str, ...] = Field(min_length=1, max_length=THRESHOLDS_MAX)
    """Decimal strings, shares of the limit, ascending."""
    created_us: Microseconds

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, time_zone: str) -> str:
        try:
            ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError) as error:
            message = f"not an IANA time zone: {time_zone!r}"
            raise ValueError(message) from error
        return time_zone

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: tuple[str, ...]) -> tuple[str, ...]:
        shares = {_share(threshold): threshold for threshold in thresholds}
        if len(shares) != len(thresholds):
            message = "a threshold appears twice"
            raise ValueError(message)
        return tuple(shares[share] for share in sorted(shares))


class Webhook(ControlRecord):
    """Where a project's alerts are delivered."""

    kind = "webhook"
    project_id: Identifier
    url: str = Field(min_length=1, max_length=2000)
    events: tuple[str, ...] = Field(min_length=1, max_length=20)
    secret: str = Field(pattern=r"^whsec_\S{16,200}$", repr=False)
    """Needed in clear to sign; shown once to its owner."""
    created_us: Microseconds
    disabled: bool = False


class Tombstone(BaseModel):
    """Said to subscribers when a record is gone."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    id: str


Record = Project | ApiKey | Price | Budget | Webhook
Change = Record | Tombstone

RECORD_OF_KIND: Final[Mapping[str, type[Record]]] = {
    record.kind: record for record in (Project, ApiKey, Price, Budget, Webhook)
}


def _share(threshold: str) -> Decimal:
    try:
        share = Decimal(threshold)
    except InvalidOperation as error:
        message = f"not a decimal number: {threshold!r}"
        raise ValueError(message) from error
    if not share.is_finite() or not Decimal(0) < share <= Decimal(100):
        message = f"a threshold lies above 0 and at most at 100: {threshold!r}"
        raise ValueError(message)
    return share
