"""The user's functions, guarded: whatever they do has a name, and none stops the stream."""

import asyncio
import time

import pytest

from syncline.bulk import RulingKind
from syncline.errors import HookFailed
from syncline.hooks import HookRunner, Refuse
from syncline.models import Update, encode_body


AFTER = Update(model="m", record_id="1", rev="1-00000000000000aa", body=encode_body({"n": 1}))


def raises(*_):
    raise RuntimeError("boom")


def refuses(*_):
    raise Refuse("not your turn")


def returns_refusal(*_):
    return Refuse("not your turn")


def hangs(*_):
    time.sleep(0.2)


async def hangs_on_the_loop(*_):
    await asyncio.Event().wait()


async def amends(_principal, _before, after):
    return {**after, "n": 2}


@pytest.fixture
def runner():
    made = HookRunner(deadline_s=0.05)
    yield made
    made.close()


async def rule(runner, validate):
    return await runner.rule(validate, None, None, AFTER, encode_body)


@pytest.mark.parametrize(
    ("validate", "kind", "word"),
    [
        pytest.param(lambda *_: None, RulingKind.PASSED, "", id="returns nothing"),
        pytest.param(lambda *_: True, RulingKind.PASSED, "", id="returns true"),
        pytest.param(lambda *args: args[2], RulingKind.PASSED, "", id="returns it as it was"),
        pytest.param(amends, RulingKind.AMENDED, "", id="amends"),
        pytest.param(refuses, RulingKind.REFUSED, "not your turn", id="raises Refuse"),
        pytest.param(returns_refusal, RulingKind.REFUSED, "not your turn", id="returns Refuse"),
        pytest.param(raises, RulingKind.PARKED, "boom", id="raises"),
        pytest.param(hangs, RulingKind.PARKED, "longer", id="hangs"),
        pytest.param(hangs_on_the_loop, RulingKind.PARKED, "longer", id="hangs on the loop"),
        pytest.param(lambda *_: 42, RulingKind.PARKED, "int", id="returns nonsense"),
    ],
)
async def test_a_validation_hook_is_taken_at_its_word_or_parks(runner, validate, kind, word):
    ruling = await rule(runner, validate)

    assert kind is ruling.kind
    assert word in ruling.reason


async def test_a_failing_hook_has_a_name(runner):
    with pytest.raises(HookFailed, match="raises raised RuntimeError"):
        await runner.call(raises)
