"""The wire's messages: what is read, what is refused and by which name."""

import json

import orjson
import pytest

from syncline.errors import (
    MessageInvalid,
    NumberNotAllowed,
    RecordInvalid,
    VersionNotSupported,
)
from syncline.models import (
    NO_BODY,
    Answer,
    Change,
    Interval,
    ItemResult,
    Update,
    encode_body,
)
from syncline.payloads import (
    ANCESTORS_ON_WIRE_MAX,
    decode_changes,
    decode_live,
    decode_page,
    decode_pushed,
    decode_record,
    decode_results,
    encode_hint,
    encode_live,
    encode_page,
    inline,
    size_of,
    update_of,
)
from syncline.protocol import (
    PROTOCOL_VERSION,
    ChangesRequest,
    FindRequest,
    Hello,
    Welcome,
    WireError,
    check_version,
    decode,
    encode,
)
from syncline.revision import new_revision


REV = new_revision(2, "00000000000000ab")
PREV = new_revision(1, "00000000000000aa")
GONE = new_revision(2, "00000000000000ab", deleted=True)
ITEM = {"model": "m", "id": "1", "rev": REV, "data": {"id": "1", "n": 1}}
FULL = Update(
    model="m",
    record_id="1",
    seq=7,
    rev=REV,
    prev=PREV,
    ancestors=(PREV,),
    origin="laptop",
    group="g",
    stamp=9,
    amended_for="phone",
    body=encode_body({"id": "1", "t": "Zoë\n\u2028😀", "n": [1, None, {"x": 1.5}]}),
)
DELETION = Update(model="m", record_id="2", seq=8, rev=GONE, prev=PREV)


# ---- messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Hello(replica="a"), id="hello, all defaults"),
        pytest.param(Hello(replica="a", models=["m"], source="s", epoch="e", seq=3), id="hello"),
        pytest.param(Welcome(source="s", epoch="e", head=4, models={"m": "read"}), id="welcome"),
        pytest.param(ChangesRequest(since=2, models=["m"]), id="changes"),
        pytest.param(FindRequest(model="m", order=["a DESC", "b"], limit=5), id="find"),
        pytest.param(WireError(code="c", message="m", retryable=True), id="error"),
        pytest.param(Change(model="m", record_id="1", rev=REV, ancestors=(PREV,)), id="change"),
    ],
)
def test_a_message_comes_back_as_it_was_sent(message):
    travelled = json.loads(json.dumps(encode(message)))

    assert message == decode(type(message), travelled)


def test_defaults_do_not_travel():
    assert {"replica": "a"} == encode(Hello(replica="a"))


def test_unknown_fields_are_ignored():
    assert Hello(replica="a") == decode(Hello, {"replica": "a", "colour": "red"})


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        pytest.param(Hello, {}, ("hello", "replica"), id="a field is missing"),
        pytest.param(Hello, None, ("hello", "null"), id="nothing at all"),
        pytest.param(Hello, ["a"], ("hello", "array"), id="a list"),
        pytest.param(Hello, {"replica": 5}, ("hello", "$.replica"), id="a number for a text"),
        pytest.param(Hello, {"replica": "a", "seq": "1"}, ("$.seq",), id="a text for a number"),
        pytest.param(Hello, {"replica": "a", "models": [1]}, ("$.models[0]",), id="inside a list"),
        pytest.param(ChangesRequest, {"since": "2"}, ("changesrequest", "since"), id="a position"),
        pytest.param(FindRequest, {"model": "m", "limit": 1.5}, ("$.limit",), id="half a record"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(kind, payload, words):
    with pytest.raises(MessageInvalid) as raised:
        decode(kind, payload)

    assert all(word in str(raised.value) for word in words)


def test_the_version_is_ours_or_none():
    assert PROTOCOL_VERSION == check_version(PROTOCOL_VERSION)
    assert PROTOCOL_VERSION == check_version(str(PROTOCOL_VERSION)), "Java's auth carries texts"
    assert check_version(None) is None


@pytest.mark.parametrize("protocol", [0, PROTOCOL_VERSION + 1, "2", "01", 1.5, True, [], {}])
def test_another_version_is_refused_with_what_to_do(protocol):
    with pytest.raises(VersionNotSupported, match="not spoken") as raised:
        check_version(protocol)

    assert len(str(raised.value)) < 100
    assert "both ends" in raised.value.hint


# ---- lists ------------------------------------------------------------------------------


def test_updates_travel_as_a_page():
    assert (FULL, DELETION) == decode_page(encode_page([FULL, DELETION]))


def test_a_deletion_travels_without_data():
    (item,) = json.loads(encode_page([DELETION]))

    assert {"model": "m", "id": "2", "seq": 8, "rev": GONE, "prev": PREV} == item


def test_a_short_list_travels_inside_its_message():
    text = orjson.dumps({"updates": inline(encode_page([FULL]))})

    assert (FULL,) == decode_pushed(json.loads(text)["updates"])


def test_results_travel_with_what_is_held():
    results = (
        ItemResult(model="m", record_id="1", rev=REV, answer=Answer.APPLIED, seq=3),
        ItemResult(model="m", record_id="2", rev=REV, answer=Answer.CONFLICT, current=FULL),
        ItemResult(model="m", record_id="3", rev=REV, answer=Answer.PARKED, reason="no"),
    )
    encoded = encode_page(results)

    assert results == decode_results(encoded)
    assert results == decode_results(json.loads(encoded))


def test_changes_travel_without_data_and_leave_it_out_when_sent():
    assert (Change(model="m", record_id="1", rev=REV),) == decode_changes([ITEM])


@pytest.mark.parametrize("payload", [None, "[]", 5, {"a": 1}, [object()]])
@pytest.mark.parametrize("read", [decode_pushed, decode_changes, decode_results])
def test_what_is_no_list_is_refused(read, payload):
    with pytest.raises(MessageInvalid):
        read(payload)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[", id="cut off"),
        pytest.param(b"{}", id="an object"),
        pytest.param(b"[1]", id="a number for an update"),
        pytest.param(b'[{"model":"m"}]', id="fields are missing"),
        pytest.param(b'[{"model":"\xff","id":"1","rev":"x"}]', id="not UTF-8"),
        pytest.param(b"[" * 5000, id="nested without end"),
    ],
)
@pytest.mark.parametrize("read", [decode_pushed, decode_page, decode_changes])
def test_garbage_in_a_list_is_refused(read, payload):
    with pytest.raises(MessageInvalid, match="can't be read"):
        read(payload)


# ---- what is pushed ---------------------------------------------------------------------


def test_a_well_formed_push_is_read():
    update, deletion = decode_pushed(
        [{**ITEM, "prev": PREV, "ancestors": [PREV]}, {"model": "m", "id": "2", "rev": GONE}]
    )

    assert ({"id": "1", "n": 1}, (PREV,)) == (update.data, update.ancestors)
    assert (None, True) == (deletion.data, deletion.is_deletion)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        pytest.param({"rev": "1-x"}, "no revision", id="revision"),
        pytest.param({"rev": ""}, "no revision", id="empty revision"),
        pytest.param({"prev": "before"}, "no revision", id="prev"),
        pytest.param({"ancestors": ["1-x"]}, "ancestors", id="an ancestor"),
        pytest.param(
            {"ancestors": [PREV] * (ANCESTORS_ON_WIRE_MAX + 1)}, "ancestors", id="too many"
        ),
        pytest.param({"rev": GONE}, "a deletion has no data", id="a deletion with data"),
        pytest.param({"data": ...}, "a deletion has no data", id="a write without data"),
        pytest.param({"id": 1}, "$[0].id", id="an id that is a number"),
        pytest.param({"seq": "1"}, "$[0].seq", id="a seq that is text"),
        pytest.param({"model": "m" * 256}, "<= 255 - at `$[0].model`", id="a long model"),
        pytest.param({"origin": "o" * 256}, "<= 255 - at `$[0].origin`", id="a long origin"),
        pytest.param({"group": "g" * 256}, "<= 255 - at `$[0].group`", id="a long group"),
        pytest.param({"amended_for": "a" * 256}, "$[0].amended_for`", id="a long pusher"),
        pytest.param({"stamp": -1}, ">= 0 - at `$[0].stamp`", id="a stamp from before"),
    ],
)
def test_a_malformed_push_is_refused_by_what_is_wrong(fields, word):
    item = {name: value for name, value in {**ITEM, **fields}.items() if value is not ...}

    with pytest.raises(MessageInvalid) as raised:
        decode_pushed([item])

    assert word in str(raised.value)


def test_a_push_nested_beyond_reading_is_refused():
    body = b'[{"model":"m","id":"1","rev":"1-00000000000000aa","data":' + b"[" * 100_000

    with pytest.raises(MessageInvalid, match="can't be read"):
        decode_pushed(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b'{"n":1e999}', NumberNotAllowed, id="beyond a double"),
        pytest.param(b'{"s":"\xff"}', RecordInvalid, id="not UTF-8"),
        pytest.param(b'{"s":"\\ud800"}', RecordInvalid, id="half a surrogate pair"),
        pytest.param(b'{"n":NaN}', RecordInvalid, id="no number"),
    ],
)
def test_a_pushed_body_is_read_strictly_and_named(body, error):
    with pytest.raises(error, match="m/1"):
        decode_record(body, "m", "1")


# ---- live events ------------------------------------------------------------------------


def live(**fields):
    whole = {"epoch": "e", "since": 6, "checkpoint": 8, "head": 8}
    return {name: value for name, value in {**whole, **fields}.items() if value is not ...}


def test_a_live_event_comes_back_as_it_was_sent():
    interval = Interval(epoch="e", since=6, checkpoint=8, head=9, updates=(FULL, DELETION))

    text = encode_live(interval)
    for payload in (text.encode(), json.loads(text)):
        back = decode_live(payload)

        assert (interval, True) == (back.interval(), back.carries)
        assert NO_BODY is back.interval().updates[1].body


def test_updates_encoded_once_serve_every_listener():
    interval = Interval(epoch="e", since=6, checkpoint=8, head=9, updates=(FULL,))

    assert encode_live(interval) == encode_live(interval, encode_page(interval.updates))


def test_a_hint_names_an_interval_without_carrying_it():
    interval = Interval(epoch="e", since=6, checkpoint=8, head=9, updates=(FULL,))

    back = decode_live(encode_hint(interval).encode())

    assert (False, ()) == (back.carries, back.interval().updates)
    assert (6, 8, 9) == (back.since, back.checkpoint, back.head)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(None, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param(live(epoch=...), id="no epoch"),
        pytest.param(live(head=...), id="no head"),
        pytest.param(live(updates=5), id="updates that are a number"),
        pytest.param(live(updates=[5]), id="an update that is a number"),
        pytest.param(live(updates=[{"model": "m"}]), id="an update without its fields"),
        pytest.param(live(updates=[{**ITEM, "ancestors": 5}]), id="ancestors that are a number"),
    ],
)
def test_a_malformed_live_event_is_refused(payload):
    with pytest.raises(MessageInvalid, match="changed"):
        decode_live(payload).interval()


def test_an_update_of_a_decoded_object_is_what_a_page_gives():
    assert decode_page(encode_page([FULL])) == (update_of(json.loads(encode_page([FULL]))[0]),)


def test_the_estimate_of_a_size_is_near_the_truth():
    large = Update(
        model="m", record_id="3", rev=REV, ancestors=(PREV,) * 60, body=encode_body({"t": "é" * 99})
    )

    for update in (FULL, DELETION, large):
        length = len(encode_page([update]))
        assert 0.8 * length <= size_of(update) <= length + 160
