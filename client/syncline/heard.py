"""What the daemon's messages are to a session."""

from typing import Any

import msgspec

from syncline.connection import checked
from syncline.effects import Effect
from syncline.errors import MessageTooLarge, SynclineError
from syncline.logs import Logger
from syncline.models import NO_BODY, BulkResult
from syncline.payloads import decode_live, decode_news, decode_page, decode_results
from syncline.protocol import Beat, Bye, Head, PageHeader, PushAnswer, decode
from syncline.session import Session


log = Logger("syncline")

Answer = tuple[Any, ...]
"""The arguments of an acknowledgement."""


def event_heard(session: Session, now: float, event: str, payload: Any) -> list[Effect]:
    """Tell the session an event; raise `ProtocolError` for one that is none of the protocol's."""
    match event:
        case "changed":
            live = decode_live(payload)
            if live.epoch == session.cursor.epoch and live.checkpoint <= session.cursor.seq:
                # Mostly our own news, behind the answer to our push: nothing to decode.
                live = msgspec.structs.replace(live, updates=NO_BODY)
            return session.changed(now, live.interval(), carries=live.carries)
        case "news":
            news = decode_news(payload)
            cursor, models = session.cursor, session.models
            epoch = news.epoch or cursor.epoch
            is_known = epoch == cursor.epoch and news.checkpoint <= cursor.seq
            model = models[0] if len(models) == 1 else ""
            interval = news.interval(epoch, model, carries=not is_known)
            return session.changed(now, interval, carries=not is_known)
        case "beat":
            return session.beat_asked(now, decode(Beat, payload or {}).number)
        case "bye":
            bye = decode(Bye, payload or {})
            return session.bye(now, bye.delay_ms / 1000, bye.reason)
        case _:
            return session.behind_told(now)


def page_heard(session: Session, now: float, got: Answer) -> list[Effect]:
    """Tell the session the answer to a request for changes."""
    try:
        header = decode(PageHeader, checked(got)[0])
        updates = decode_page(got[1]) if len(got) > 1 else ()
    except SynclineError as error:
        log.warning("link.page_refused", error=error.code, reason=str(error))
        return session.lost_page(now, error.code)
    return session.page(now, header.interval(updates))


def head_heard(session: Session, now: float, got: Answer) -> list[Effect]:
    """Tell the session the answer to a heartbeat."""
    head = decode(Head, checked(got)[0])
    return session.beat_answered(now, head.epoch, head.head)


def too_large_said(got: Answer) -> str:
    """Return what the daemon said of a push that is too large as a whole; else an empty text."""
    try:
        checked(got)
    except MessageTooLarge as error:
        return str(error)
    except SynclineError:
        pass
    return ""


def answer_heard(session: Session, now: float, got: Answer, push_id: int) -> list[Effect]:
    """Tell the session the answer to a push."""
    try:
        header = decode(PushAnswer, checked(got)[0])
        results = decode_results(got[1] if len(got) > 1 else got[0]["results"])
    except SynclineError as error:
        log.warning("link.push_refused", error=error.code, reason=str(error))
        return session.push_failed(now, push_id, error.code)
    answer = BulkResult(epoch=header.epoch, checkpoint=header.checkpoint, results=results)
    return session.answered(now, push_id, answer)
