import asyncio
import threading

import pytest

from syncline.bulk import RulingKind
from syncline.errors import HookFailed, RecordInvalid
from syncline.hooks import HookRunner, Hooks, Refuse, failed
from syncline.models import NO_BODY, Update, encode_body


WAIT_S = 5
HELD = Update(
    model="todo", record_id="1", rev="1-00000000000000aa", body=encode_body({"id": "1", "n": 1})
)
PUSHED = Update(
    model="todo",
    record_id="1",
    rev="2-00000000000000bb",
    prev=HELD.rev,
    body=encode_body({"id": "1", "n": 2}),
)
GONE = Update(model="todo", record_id="1", rev="2-00000000000000cc-deleted", body=NO_BODY)


@pytest.fixture
def runner():
    made = HookRunner(deadline_s=WAIT_S)
    yield made
    made.close()


def check(record):
    """Stand for the model's check: a record without a number is none."""
    if not isinstance(record.get("n"), int):
        raise RecordInvalid("todo.n is missing")
    return bytes(encode_body(record))


def both(function):
    """Return a hook as `def` and as `async def`."""

    def plain(principal, before, after):
        return function(before, after)

    async def coroutine(principal, before, after):
        return function(before, after)

    return plain, coroutine


def raising(error):
    def hook(_before, _after):
        raise error

    return hook


@pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])
@pytest.mark.parametrize(
    ("function", "kind", "reason"),
    [
        pytest.param(lambda b, a: None, RulingKind.PASSED, "", id="None passes"),
        pytest.param(lambda b, a: True, RulingKind.PASSED, "", id="True passes"),
        pytest.param(lambda b, a: a, RulingKind.PASSED, "", id="the record itself passes"),
        pytest.param(lambda b, a: dict(a), RulingKind.PASSED, "", id="an equal record passes"),
        pytest.param(lambda b, a: {**a, "n": 9}, RulingKind.AMENDED, "", id="another one amends"),
        pytest.param(raising(Refuse("no")), RulingKind.REFUSED, "no", id="Refuse raised"),
        pytest.param(lambda b, a: Refuse("no"), RulingKind.REFUSED, "no", id="Refuse returned"),
        pytest.param(raising(Refuse()), RulingKind.REFUSED, "refused", id="Refuse says nothing"),
        pytest.param(raising(RuntimeError("boom")), RulingKind.PARKED, "boom", id="it raises"),
        pytest.param(raising(TimeoutError()), RulingKind.PARKED, "", id="it raises TimeoutError"),
        pytest.param(lambda b, a: 42, RulingKind.PARKED, "int", id="a number is nonsense"),
        pytest.param(lambda b, a: False, RulingKind.PARKED, "bool", id="False is no refusal"),
        pytest.param(lambda b, a: "no", RulingKind.PARKED, "str", id="nor is a text"),
        pytest.param(lambda b, a: {}, RulingKind.PARKED, "todo.n is missing", id="a bad record"),
    ],
)
async def test_a_ruling_is_what_the_hook_said(runner, function, kind, reason, is_async):
    ruling = await runner.rule(both(function)[is_async], None, HELD, PUSHED, check)

    assert kind is ruling.kind
    assert reason in ruling.reason
    assert HELD.rev == ruling.seen


async def test_an_amendment_is_kept_as_it_was_checked(runner):
    ruling = await runner.rule(lambda p, b, a: {**a, "n": 9}, None, None, PUSHED, check)

    assert b'{"id":"1","n":9}' == bytes(ruling.body)
    assert ruling.seen is None


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        pytest.param(None, PUSHED, (None, {"id": "1", "n": 2}), id="create"),
        pytest.param(HELD, PUSHED, ({"id": "1", "n": 1}, {"id": "1", "n": 2}), id="update"),
        pytest.param(HELD, GONE, ({"id": "1", "n": 1}, None), id="delete"),
    ],
)
async def test_the_hook_is_shown_principal_before_and_after(runner, before, after, shown):
    seen = []
    await runner.rule(lambda *args: seen.append(args), "ada", before, after, check)

    assert [("ada", *shown)] == seen


async def test_a_record_changed_in_place_and_returned_is_an_amendment(runner):
    def amend(_principal, _before, after):
        after["n"] = 9
        return after

    ruling = await runner.rule(amend, None, None, PUSHED, check)

    assert RulingKind.AMENDED is ruling.kind
    assert b'{"id":"1","n":9}' == bytes(ruling.body)


async def test_a_coroutine_that_hangs_is_ended_and_the_write_parked():
    runner = HookRunner(deadline_s=0.01)
    ended = asyncio.Event()

    async def hang(_principal, _before, _after):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    ruling = await asyncio.wait_for(runner.rule(hang, None, None, PUSHED, check), WAIT_S)

    assert RulingKind.PARKED is ruling.kind
    assert "took longer than 0.01 s" in ruling.reason
    assert ended.is_set()


async def test_a_function_that_hangs_keeps_its_thread_and_the_write_is_parked():
    runner = HookRunner(deadline_s=0.01)
    let_go = threading.Event()
    try:
        ruling = await asyncio.wait_for(
            runner.rule(lambda *_: let_go.wait(WAIT_S), None, None, PUSHED, check), WAIT_S
        )
        runner.close()  # does not wait for it

        assert RulingKind.PARKED is ruling.kind
        assert "took longer" in ruling.reason
    finally:
        let_go.set()


async def test_an_async_callable_object_is_awaited(runner):
    class Rules:
        async def __call__(self, _principal, _before, _after):
            raise Refuse("not your turn")

    ruling = await runner.rule(Rules(), None, None, PUSHED, check)

    assert (RulingKind.REFUSED, "not your turn") == (ruling.kind, ruling.reason)


async def test_a_plain_function_never_runs_on_the_loop(runner):
    here = threading.get_ident()

    assert here != await runner.call(threading.get_ident)


async def test_call_passes_answers_and_refusals_through_and_names_the_rest(runner):
    def boom():
        raise ValueError("boom")

    def refuse():
        raise Refuse("no")

    assert 3 == await runner.call(lambda a, b: a + b, 1, 2)
    with pytest.raises(Refuse, match="no"):
        await runner.call(refuse)
    with pytest.raises(HookFailed, match=r"boom raised ValueError\('boom'\)"):
        await runner.call(boom)


async def test_the_error_handler_is_told_what_failed_and_where(runner):
    told = []
    hooks = Hooks(handle_change_error=lambda error, operation: told.append((error, operation)))
    error = HookFailed("boom")

    assert await failed(runner, hooks, error, "on_change") is None
    assert [(error, "on_change")] == told


async def test_a_failing_error_handler_is_answered_not_raised(runner):
    def handler(_error, _operation):
        raise RuntimeError("again")

    def refusing(_error, _operation):
        raise Refuse("no")

    second = await failed(runner, Hooks(handle_change_error=handler), HookFailed("boom"), "x")
    third = await failed(runner, Hooks(handle_change_error=refusing), HookFailed("boom"), "x")

    assert "again" in str(second)
    assert isinstance(third, HookFailed)
    assert await failed(runner, Hooks(), HookFailed("boom"), "x") is None
