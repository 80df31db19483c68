"""Tell the log of writes that were refused: what, why and whose, never the data."""

from collections.abc import Sequence
from typing import Any

import structlog

from syncline.models import Answer, ItemResult
from synclined.access import Principal


log = structlog.get_logger("synclined")

LOGGED_MAX = 20
"""So many refusals of one push are logged each; the rest are counted."""
REASON_CHARS_MAX = 200


def note_refused(principal: Principal, results: Sequence[ItemResult], **more: Any) -> None:
    """
    Log the refused among the results of a push.

    Args:
        more: what else names the push: its socket, its replica.
    """
    refused = [result for result in results if result.answer is Answer.REFUSED]
    for result in refused[:LOGGED_MAX]:
        log_refused(
            principal, result.model, result.record_id, result.reason, rev=result.rev, **more
        )
    if len(refused) > LOGGED_MAX:
        log.warning(
            "update.refused",
            principal=principal.name,
            count=len(refused) - LOGGED_MAX,
            reason="as many more of the same push",
            **more,
        )


def log_refused(principal: Principal, model: str, record_id: str, reason: str, **more: Any) -> None:
    """Log one refused write."""
    log.warning(
        "update.refused",
        principal=principal.name,
        model=model,
        record_id=record_id,
        reason=reason[:REASON_CHARS_MAX],
        **more,
    )
