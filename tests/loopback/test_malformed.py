"""No request, however malformed, ends or stalls the daemon."""

import http.client
import json
import random
import urllib.parse

import pytest


CHANGE = {
    "id": "x",
    "rev": "d" * 40,
    "prev": None,
    "checkpoint": 1,
    "modelName": "L",
    "modelId": "a",
}
REQUESTS = [
    ("POST", "/Car", {"id": "a", "maker": "Ford", "details": {"x": [1, None, {"y": 2.5}]}}),
    ("PATCH", "/Car", {"id": "a", "maker": "Audi"}),
    ("PUT", "/Car/a", {"maker": "Opel"}),
    ("POST", "/Car/update?where=%7B%22maker%22:%22Ford%22%7D", {"year": 1}),
    ("POST", "/Car/diff", [CHANGE, {**CHANGE, "modelId": "b"}]),
    ("POST", "/Car/create-updates", [CHANGE]),
    ("POST", "/Car/bulk-update", {"updates": [
        {"type": "create", "change": CHANGE, "data": {"id": "a", "n": 1}},
        {"type": "delete", "change": {**CHANGE, "rev": None, "prev": "d" * 40}},
    ]}),
    ("PUT", "/Car/a/changes/last", {"prev": "d" * 40}),
    ("POST", "/Car/replicate", {"target": "Truck", "since": 3, "filter": {"where": {"n": 1}}}),
    ("GET", '/Car?filter={"where":{"maker":{"like":"F%25"}},"order":"id DESC","limit":3}', None),
    ("GET", "/Car/changes?since=-1&filter={}", None),
    ("GET", "/Car/count?where[maker]=Ford", None),
]  # fmt: skip
ODD = [
    None, True, False, 0, -1, 1e308, 2**63, 10**30, 0.1, "", "x" * 3000, "\u2028", "\x00", [], {},
    [[[[]]]], {"": {}}, {"id": "b"}, {"__proto__": 1}, "Infinity", [None] * 50,
]  # fmt: skip


def mutated(value, chance):
    """Return a value with something in it that does not belong there."""
    if chance.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return chance.choice(ODD)
    if isinstance(value, list):
        place = chance.randrange(len(value))
        return [mutated(v, chance) if i == place else v for i, v in enumerate(value)]
    name = chance.choice(list(value))
    if chance.random() < 0.2:
        return {k: v for k, v in value.items() if k != name}
    return {**value, name: mutated(value[name], chance)}


def spoiled(raw, chance):
    """Return bytes with a few of them wrong, or cut."""
    place = chance.randrange(len(raw) + 1)
    match chance.randrange(4):
        case 0:
            return raw[:place]
        case 1:
            return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        case 2:
            return raw[:place] + b"[" * 3000 + raw[place:]
        case _:
            return raw[:place] + raw


@pytest.mark.parametrize("seed", range(4))
def test_mutated_requests_are_answered_below_500(daemon, seed):
    chance = random.Random(seed)
    where = urllib.parse.urlsplit(daemon.api)
    link = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    statuses = set()
    for turn in range(250):
        method, path, body = chance.choice(REQUESTS)
        raw = None
        if body is not None:
            raw = json.dumps(mutated(body, chance)).encode()
            raw = spoiled(raw, chance) if chance.random() < 0.3 else raw
        elif chance.random() < 0.8:
            start, _, query = path.partition("?")
            odd = urllib.parse.quote(spoiled(query.encode(), chance)[:2000], safe="=&[]%")
            path = f"{start}?{odd}"
        path = urllib.parse.quote(path, safe="/?=&[]%:,")
        link.request(method, where.path + path, raw, {"Content-Type": "application/json"})
        answer = link.getresponse()
        answer.read()
        statuses.add(answer.status)
        assert answer.status < 500, (seed, turn, method, path, raw)
    link.close()

    assert {200, 400} <= statuses
    assert 200 == daemon.get("/Car/checkpoint").status


@pytest.mark.parametrize("depth", [70, 500, 1000, 100_000])
def test_deep_nesting_is_refused(daemon, depth):
    nested = '{"id": "a", "n": 12345678901234567890, "x": ' + "[" * depth + "]" * depth + "}"
    change = json.dumps(CHANGE)
    entry = f'{{"updates": [{{"type": "create", "change": {change}, "data": {nested}}}]}}'

    made = daemon.request("POST", "/Car", raw=nested.encode())
    bulk = daemon.request("POST", "/Car/bulk-update", raw=entry.encode())

    assert {400, 422} >= {made.status, bulk.status}
    assert {"count": 0} == daemon.get("/Car/count").json


def test_twenty_thousand_entries_are_taken_at_once(daemon):
    entries = [
        {"type": "create", "change": {**CHANGE, "modelId": f"c{n}"}, "data": {"id": f"c{n}"}}
        for n in range(20_000)
    ]

    assert 204 == daemon.post("/Car/bulk-update", {"updates": entries}).status
    assert {"count": 20_000} == daemon.get("/Car/count").json
