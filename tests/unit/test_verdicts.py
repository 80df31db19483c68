import json
from pathlib import Path

import pytest

from syncline.models import Base
from syncline.payloads import update_of
from syncline.verdicts import equal_bodies, offer, take


VECTORS = Path(__file__).parent.parent / "vectors"


def _cases(name):
    cases = json.loads((VECTORS / name).read_text())["cases"]
    return [pytest.param(case, id=case["name"]) for case in cases]


def _update(item):
    return None if item is None else update_of(item)


@pytest.mark.parametrize("case", _cases("offer.json"))
def test_offer_follows_the_vectors(case):
    assert case["verdict"] == offer(_update(case["current"]), _update(case["update"])).value


@pytest.mark.parametrize("case", _cases("take.json"))
def test_take_follows_the_vectors(case):
    verdict = take(
        _update(case["local"]),
        Base(rev=case["base"]["rev"], seq=case["base"]["seq"]),
        _update(case["update"]),
        is_pending=case["is_pending"],
        replica_id="me",
    )

    assert case["verdict"] == verdict.value


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        pytest.param(b'{"a":1,"b":2}', b'{"b":2,"a":1}', True, id="order of properties"),
        pytest.param(b'{"a":[1,2]}', b'{"a":[2,1]}', False, id="order of items"),
        pytest.param(b'{"a":true}', b'{"a":1}', False, id="true and one"),
        pytest.param(b'{"a":null}', b"{}", False, id="null and absent"),
        pytest.param(b"", b"{}", False, id="no record and an empty one"),
        pytest.param(b"", b"", True, id="no record twice"),
    ],
)
def test_bodies_are_compared_as_json_values(one, other, are_equal):
    assert are_equal == equal_bodies(one, other)
