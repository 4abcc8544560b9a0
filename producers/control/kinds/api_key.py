"""Define API keys, the credentials of a project."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from producers.control.fields import DigestField
from producers.control.record import Microseconds, ProjectRecord
from producers.control.scopes import DEFAULT_SCOPES, SCOPES, Scope


class ApiKey(ProjectRecord):
    """A key pair, with a salted hash instead of the secret."""

    kind = "api_key"
    per_project_max = 100

    public_key: str = Field(min_length=1, max_length=255)
    secret_hash: Annotated[str, DigestField()] = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """SHA-256 of salt and secret, in hex. Secrets are random, so a slow hash is not needed."""
    salt: Annotated[str, DigestField()] = Field(min_length=1, max_length=64, repr=False)
    created_us: Microseconds
    note: str = Field("", max_length=255)
    scopes: tuple[Scope, ...] = Field(DEFAULT_SCOPES, min_length=1)
    expires_at_us: Microseconds | None = None
    """Time from which the key is refused; None: never."""
    hint: str = Field("", max_length=64)
    """The beginning and the end of the secret, so that people can recognize it."""
    previous_secret_hash: Annotated[str, DigestField()] = Field(
        "", pattern=r"^([0-9a-f]{64})?$", repr=False
    )
    """Hash of the secret before the last rotation, with ``previous_salt``."""
    previous_salt: Annotated[str, DigestField()] = Field("", max_length=64, repr=False)
    previous_valid_until_us: Microseconds | None = None
    """Time until which the secret before the last rotation is valid; None: it is invalid."""
    last_used_us: Microseconds | None = None
    """Approximate time of the last use; None: no use is known."""

    def unique_keys(self) -> tuple[str, ...]:
        return (f"public_key:{self.public_key}",)

    @field_validator("scopes")
    @classmethod
    def _sorted(cls, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
        return tuple(scope for scope in SCOPES if scope in scopes)
