"""Send the scores of a form as the gateway's route does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from producers.errors import OverloadedError, RequestError, UndeliveredError
from query_api.console.page import View
from query_api.errors import BadRequestError, UnavailableError


async def send_scores(view: View, scores: Sequence[dict[str, Any]]) -> None:
    """Send the bodies of scores.

    Raises:
        BadRequestError: one is refused.
        UnavailableError: this process accepts no scores, or they were not written in time.
    """
    send = view.context.send_scores
    retry_after_s = view.context.settings.retry_after_s
    if send is None:
        message = "this process does not accept scores; send them to the gateway"
        raise UnavailableError(message, retry_after_s=retry_after_s)
    try:
        for each in scores:  # one body each: a list is accepted in part if a score is refused
            await send(view.session.principal, msgspec.json.encode(each))
    except (OverloadedError, UndeliveredError) as error:
        raise UnavailableError(str(error), retry_after_s=retry_after_s) from error
    except RequestError as error:
        raise BadRequestError(str(error)) from error
