"""Sign URLs of an S3 API (Signature Version 4), which need no other credential."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-_.~"


@dataclass(frozen=True, slots=True)
class S3Access:
    """An S3 API and a key for it; an empty endpoint is that of AWS."""

    endpoint_url: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)

    @property
    def endpoint(self) -> str:
        """Return the address without a slash at its end."""
        return (self.endpoint_url or f"https://s3.{self.region}.amazonaws.com").rstrip("/")


def presigned_url(
    access: S3Access,
    method: str,
    path: str,
    *,
    at: datetime,
    valid_s: int,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """Return a URL that permits one kind of request until it expires.

    Args:
        access: the S3 API.
        method: the method of the request.
        path: bucket and key, without a slash at the beginning.
        at: the current time, in UTC.
        valid_s: time until it expires.
        query: further parameters.
        headers: headers that the request must have, with names in lower case.
    """
    endpoint = urlsplit(access.endpoint)
    signed = dict(sorted({"host": endpoint.netloc, **(headers or {})}.items()))
    names = ";".join(signed)
    day = at.strftime("%Y%m%d")
    scope = f"{day}/{access.region}/s3/aws4_request"
    parameters = {
        **(query or {}),
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{access.access_key_id}/{scope}",
        "X-Amz-Date": at.strftime("%Y%m%dT%H%M%SZ"),
        "X-Amz-Expires": str(valid_s),
        "X-Amz-SignedHeaders": names,
    }
    encoded = "&".join(
        f"{_quoted(name)}={_quoted(parameters[name])}" for name in sorted(parameters)
    )
    full_path = f"{endpoint.path}/{quote(path, safe=f'/{_UNRESERVED}')}"
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    request = f"{method}\n{full_path}\n{encoded}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{parameters['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{access.secret_access_key}".encode()
    for part in (day, access.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    address = f"{endpoint.scheme}://{endpoint.netloc}{full_path}"
    return f"{address}?{encoded}&X-Amz-Signature={signature}"


def _quoted(text: str) -> str:
    return quote(text, safe=_UNRESERVED)
