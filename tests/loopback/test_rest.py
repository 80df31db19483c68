"""Plain HTTP by hand: the endpoints, their statuses and their errors, as LoopBack answers them."""

import socket

import pytest


CAR = {"id": "c1", "maker": "Ford", "model": "Mustang", "year": 1964}


@pytest.fixture
def api(pair):
    """The daemon, over plain HTTP, in both profiles."""
    return pair.server


def filled(api):
    api.post("/Cars", [{"id": f"c{i}", "maker": "Ford" if i % 2 else "Audi", "year": 1960 + i}
                       for i in range(6)])  # fmt: skip
    return api


def ids(answer):
    return [record["id"] for record in answer.json]


# ---- records -------------------------------------------------------------------------------------


def test_a_record_is_created_read_and_deleted(api):
    made = api.post("/Cars", CAR)

    assert (200, "Ford") == (made.status, made.json["maker"])
    assert made.json == api.get("/Cars/c1").json == api.get("/Cars").json[0]
    assert "application/json; charset=utf-8" == made.headers["Content-Type"]
    assert made.headers["ETag"].startswith('W/"')
    assert {"count": 1} == api.delete("/Cars/c1").json
    assert {"count": 0} == api.delete("/Cars/c1").json


def test_an_id_is_made_for_a_record_without_one(api):
    made = api.post("/Cars", {"maker": "Audi"}).json

    assert "Audi" == api.get(f"/Cars/{made['id']}").json["maker"]


def test_creating_what_exists_is_409(api):
    api.post("/Cars", CAR)

    again = api.post("/Cars", CAR)

    assert 409 == again.status
    assert "Duplicate entry" in again.json["error"]["message"]
    assert "details" not in again.json["error"]


@pytest.mark.parametrize("path", ["/Cars/none", "/Cars/none?filter=%7B%7D", "/Cars/findOne"])
def test_an_unknown_id_is_404_model_not_found(api, path):
    answer = api.get(path)

    assert 404 == answer.status
    assert (404, "MODEL_NOT_FOUND") == tuple(
        answer.json["error"][key] for key in ("statusCode", "code")
    )


def test_exists_and_head_tell_of_a_record(api):
    api.post("/Cars", CAR)

    assert [{"exists": True}, {"exists": False}] == [
        api.get(f"/Cars/{one}/exists").json for one in ("c1", "c2")
    ]
    assert [200, 404] == [api.request("HEAD", f"/Cars/{one}").status for one in ("c1", "c2")]


def test_patch_sets_and_put_replaces(api):
    api.post("/Cars", CAR)

    patched = api.patch("/Cars/c1", {"model": "GT"}).json
    replaced = api.put("/Cars/c1", {"maker": "Ford"}).json

    assert ("GT", 1964) == (patched["model"], patched["year"])
    assert replaced.get("year") is None
    assert 404 == api.patch("/Cars/none", {}).status
    assert 404 == api.put("/Cars/none", {}).status
    assert 404 == api.post("/Cars/none/replace", {}).status


@pytest.mark.parametrize(
    ("method", "path", "kept"),
    [("PATCH", "/Cars", 1964), ("PUT", "/Cars", None), ("POST", "/Cars/replaceOrCreate", None)],
)
def test_upserts_make_or_change(api, method, path, kept):
    api.request(method, path, CAR)

    changed = api.request(method, path, {"id": "c1", "model": "GT"})

    assert 200 == changed.status
    assert kept == changed.json.get("year")
    assert "GT" == api.get("/Cars/c1").json["model"]


def test_update_all_and_upsert_with_where_go_by_filter(api):
    filled(api)

    count = api.post("/Cars/update", {"model": "x"}, query={"where": {"maker": "Ford"}}).json
    one = api.post("/Cars/upsertWithWhere", {"model": "y"}, query={"where": {"year": 1960}}).json
    new = api.post("/Cars/upsertWithWhere", {"id": "n"}, query={"where": {"year": 1}}).json

    assert {"count": 3} == count
    assert {"count": 3} == api.get("/Cars/count", query={"where": {"model": "x"}}).json
    assert ("c0", "y", "n") == (one["id"], one["model"], new["id"])
    assert 422 == api.post("/Cars/upsertWithWhere", {}, query={"where": {"maker": "Ford"}}).status


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"where": {"maker": "Ford"}}, ["c1", "c3", "c5"]),
        ({"where": {"year": {"gt": 1963}}}, ["c4", "c5"]),
        ({"where": {"year": {"gte": 1964}}}, ["c4", "c5"]),
        ({"where": {"year": {"lt": 1961}}}, ["c0"]),
        ({"where": {"year": {"lte": 1961}}}, ["c0", "c1"]),
        ({"where": {"year": {"between": [1961, 1962]}}}, ["c1", "c2"]),
        ({"where": {"id": {"inq": ["c1", "c2"]}}}, ["c1", "c2"]),
        ({"where": {"id": {"nin": ["c1", "c2"]}}}, ["c0", "c3", "c4", "c5"]),
        ({"where": {"maker": {"neq": "Ford"}}}, ["c0", "c2", "c4"]),
        ({"where": {"maker": {"like": "or"}}}, ["c1", "c3", "c5"]),
        ({"where": {"maker": {"like": "F%d"}}}, ["c1", "c3", "c5"]),
        ({"where": {"maker": {"nlike": "F%"}}}, ["c0", "c2", "c4"]),
        ({"where": {"maker": {"regexp": "^Fo"}}}, ["c1", "c3", "c5"]),
        ({"where": {"maker": {"regexp": "/^A.*i$/"}}}, ["c0", "c2", "c4"]),
        ({"where": {"or": [{"id": "c1"}, {"and": [{"id": "c2"}, {"year": 1962}]}]}}, ["c1", "c2"]),
        ({"order": "year DESC", "limit": 2}, ["c5", "c4"]),
        ({"order": ["maker ASC", "year DESC"], "skip": 2, "limit": 2}, ["c0", "c5"]),
        ({"offset": 4, "order": "id"}, ["c4", "c5"]),
    ],
    ids=str,
)
def test_filters_find(api, asked, found):
    filled(api)

    assert found == ids(api.get("/Cars", query={"filter": asked}))


def test_filters_shape_what_is_found(api):
    filled(api)
    shown = api.get("/Cars/findOne", query={"filter": {"fields": ["id", "year"], "order": "id"}})
    hidden = api.get("/Cars/c1", query={"filter": {"fields": {"year": False}}})

    assert {"id": "c0", "year": 1960} == shown.json
    assert "year" not in hidden.json
    assert "Ford" == hidden.json["maker"]


def test_a_filter_may_be_written_with_brackets(api):
    filled(api)

    assert ["c1"] == ids(api.get("/Cars?filter[where][maker]=Ford&filter[limit]=1"))
    assert ["c4"] == ids(api.get("/Cars?filter[where][year][inq][0]=1964"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Cars?filter=nonsense", 400),
        ("/Cars?filter=[]", 400),
        ("/Cars?filter=%7B%22were%22:1%7D", 400),
        ("/Cars?filter=%7B%22where%22:%7B%22a%22:%7B%22gx%22:1%7D%7D%7D", 400),
        ("/Cars?filter=%7B%22where%22:%7B%22a%22:%7B%22regexp%22:%22(a%2B)%2B$%22%7D%7D%7D", 400),
        ("/Cars?filter=%7B%22limit%22:-1%7D", 400),
        ("/Cars/changes?since=abc", 400),
        ("/Cars/changes?since=1e400", 400),
        ("/Cars/changes?since=1&filter=x", 400),
        ("/Cars/" + "x" * 300, 422),
        ("/Nothings", 404),
        ("/Cars/a/b/c", 404),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(api, path, status):
    answer = api.get(path)

    assert (status, status) == (answer.status, answer.json["error"]["statusCode"])
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/Cars", b"{", 400),
        ("/Cars", b'"text"', 400),
        ("/Cars", b"[1]", 400),
        ("/Cars", b'{"id": "a", "year": 1e999}', 400),
        ("/Cars", b'{"id": "\xff"}', 400),
        ("/Cars", b'{"id": {}}', 422),
        ("/Cars/diff", b'{"remoteChanges": 1}', 400),
        ("/Cars/diff", b"[{}]", 400),
        ("/Cars/diff", b'[{"modelId": "a", "rev": 1}]', 400),
        ("/Cars/diff", b"3", 400),
        ("/Cars/create-updates", b"[null]", 400),
        ("/Cars/bulk-update", b"{}", 400),
        ("/Cars/bulk-update", b"[]", 400),
        ("/Cars/bulk-update", b'{"updates": [{"type": "dance"}]}', 400),
        (
            "/Cars/bulk-update",
            b'{"updates": [{"type": "update", "change": {"modelId": "a"}}]}',
            400,
        ),
        ("/Cars/c9/changes/last", b"{}", 404),
    ],
)
def test_a_malformed_body_is_refused_and_harms_nothing(api, path, body, status):
    method = "PUT" if path.endswith("last") else "POST"

    answer = api.request(method, path, raw=body)

    assert (status, status) == (answer.status, answer.json["error"]["statusCode"])
    assert {"count": 0} == api.get("/Cars/count").json


def test_a_form_is_refused_with_what_to_send(api):
    answer = api.request(
        "POST", "/Cars", raw=b"a=1", headers={"Content-type": "application/x-www-form-urlencoded"}
    )

    assert 400 == answer.status
    assert "application/json" in answer.json["error"]["message"]


def test_an_undeclared_property_of_a_strict_model_is_422(typed):
    answer = typed.post("/Cars", {"id": "c1", "colour": "red"})

    assert (422, "ValidationError") == (answer.status, answer.json["error"]["name"])
    assert "colour" in answer.json["error"]["message"]


def test_bodies_up_to_a_mebibyte_are_taken_and_beyond_the_limit_refused(serve):
    server = serve(env={"SYNCLINE_LIMITS__MESSAGE_BYTES_MAX": "2000000"})
    text = "x" * 1000

    taken = server.post("/Car", [{"id": str(i), "text": text} for i in range(1024)])
    refused = server.post("/Car", [{"id": str(i), "text": text} for i in range(2000)])

    assert [200, 413] == [taken.status, refused.status]
    assert 413 == refused.json["error"]["statusCode"]


# ---- replication by hand -------------------------------------------------------------------------


def changed(rev, prev=..., record_id="c1"):
    change = {"id": "x", "rev": rev, "checkpoint": 1, "modelName": "Local", "modelId": record_id}
    return change if prev is ... else {**change, "prev": prev}


def entry(kind, rev, prev, data=None, record_id="c1"):
    found = {"type": kind, "change": changed(rev, prev, record_id)}
    return found if data is None else {**found, "data": data}


def test_changes_since_a_checkpoint_are_listed_inclusively(api):
    api.post("/Cars", CAR)
    checkpoint = api.post("/Cars/checkpoint").json["seq"]
    api.post("/Cars", {"id": "c2"})

    assert ["c2"] == [c["modelId"] for c in api.get(f"/Cars/changes?since={checkpoint}").json]
    assert ["c1", "c2"] == [c["modelId"] for c in api.get("/Cars/changes?since=-1").json]
    assert [] == api.get("/Cars/changes").json
    found = api.get(f"/Cars/changes?since={checkpoint}").json[0]
    assert ["c2"] == [
        c["modelId"] for c in api.get(f"/Cars/changes?since={found['checkpoint']}").json
    ]


def test_a_checkpoint_beyond_the_list_tells_everything_again(api):
    """It comes from a list that was longer: a restored daemon's."""
    api.post("/Cars", CAR)

    assert ["c1"] == [c["modelId"] for c in api.get("/Cars/changes?since=100000").json]


def test_a_change_has_loopbacks_id(daemon):
    daemon.post("/Car", {"id": "Ford-Mustang", "maker": "Ford", "model": "Mustang"})

    change = daemon.get("/Cars/Ford-Mustang/changes/last").json

    assert "46ab956ed8f579aaa466ce66933970be3fa2958f" == change["id"]
    assert "c9e1621a7a7d1750a6cf613e39df0ffbe8e432b6" == change["rev"]
    assert ("Car", "Ford-Mustang") == (change["modelName"], change["modelId"])
    assert "prev" not in change


def test_the_last_change_of_an_unknown_record_is_null(api):
    answer = api.get("/Cars/none/changes/last")

    assert (200, None) == (answer.status, answer.json)


def test_a_delete_passes_every_filter(api):
    filled(api)
    api.delete("/Cars/c0")

    found = api.get("/Cars/changes?since=-1", query=None).json
    narrowed = api.get('/Cars/changes?since=-1&filter={"where":{"maker":"Ford"}}').json

    assert 6 == len(found)
    assert {"c0", "c1", "c3", "c5"} == {c["modelId"] for c in narrowed}


def test_a_page_of_changes_ends_where_deletes_and_records_end(api):
    filled(api)
    for i in range(4):
        api.delete(f"/Cars/c{i}")

    pages = [
        api.get("/Cars/changes", query={"since": -1, "filter": {"limit": 3, "skip": skip}}).json
        for skip in (0, 3, 6)
    ]

    assert [3, 3, 0] == [len(page) for page in pages]
    assert {f"c{i}" for i in range(6)} == {c["modelId"] for page in pages for c in page}


def test_diff_tells_deltas_conflicts_and_nothing_to_do(api):
    filled(api)
    held = {i: api.get(f"/Cars/c{i}/changes/last").json["rev"] for i in range(3)}
    shown = [
        changed("d" * 40, held[0], "c0"),
        changed("e" * 40, "f" * 40, "c1"),
        changed(held[2], None, "c2"),
        changed("a" * 40, record_id="new"),
    ]

    told = api.post("/Cars/diff", shown).json

    assert [{**shown[0]}, {**shown[3], "prev": None}] == told["deltas"]
    assert [("c1", held[1])] == [(c["modelId"], c["rev"]) for c in told["conflicts"]]
    assert {"deltas": [], "conflicts": []} == api.post("/Cars/diff").json


def test_diff_takes_its_since_from_the_query(api):
    """What lies before it was seen by the asker, so its edits are based on it."""
    api.post("/Cars", CAR)
    held = api.get("/Cars/c1/changes/last").json["rev"]
    since = api.get("/Cars/checkpoint").json
    shown = [changed("d" * 40, "e" * 40)]

    told = api.post("/Cars/diff", shown, query={"since": since}).json

    assert [{**shown[0], "prev": held}] == told["deltas"]


def test_bulk_update_applies_the_good_and_answers_the_conflicts(api):
    filled(api)
    held = {i: api.get(f"/Cars/c{i}/changes/last").json["rev"] for i in range(3)}
    bad = entry("update", "d" * 40, "e" * 40, {"id": "c1", "maker": "Opel"}, "c1")
    entries = [
        entry("update", "d" * 40, held[0], {"id": "c0", "maker": "Opel"}, "c0"),
        bad,
        entry("delete", None, held[2], None, "c2"),
        entry("create", "d" * 40, None, {"id": "new"}, "new"),
    ]

    answer = api.post("/Cars/bulk-update", {"updates": entries})

    assert 409 == answer.status
    assert [bad["change"]] == answer.json["error"]["details"]["conflicts"]
    assert 409 == answer.json["error"]["statusCode"]
    assert ("Opel", "Ford") == tuple(api.get(f"/Cars/c{i}").json["maker"] for i in range(2))
    assert [404, 200] == [api.get(f"/Cars/{one}").status for one in ("c2", "new")]


def test_a_bulk_update_repeated_is_applied_once(api):
    updates = {"updates": [entry("create", "d" * 40, None, CAR)]}

    first, second = (api.post("/Cars/bulk-update", updates) for _ in range(2))
    moved = api.get("/Cars/checkpoint").json
    third = api.post("/Cars/bulk-update", updates)

    assert [204, 204, 204] == [first.status, second.status, third.status]
    assert b"" == first.body
    assert moved == api.get("/Cars/checkpoint").json


def test_two_entries_for_one_record_follow_each_other(api):
    from syncline import digest_of

    record = api.post("/Cars", CAR).json
    first, second = {**record, "model": "a"}, {**record, "model": "b"}
    held = api.get("/Cars/c1/changes/last").json["rev"]
    entries = [
        entry("update", digest_of(first), held, first),
        entry("update", digest_of(second), digest_of(first), second),
    ]

    assert 204 == api.post("/Cars/bulk-update", {"updates": entries}).status
    assert "b" == api.get("/Cars/c1").json["model"]


def test_an_update_of_nothing_does_not_end_the_daemon(api):
    """It ended a stock server."""
    upon_nothing = entry("update", "d" * 40, None, {"id": "c1"})
    upon_something = entry("update", "d" * 40, "e" * 40, {"id": "c2"}, "c2")

    answers = [
        api.post("/Cars/bulk-update", {"updates": [one]}).status
        for one in (upon_nothing, upon_something)
    ]

    assert [204, 409] == answers
    assert 200 == api.get("/Cars/c1").status


def test_a_record_that_vanished_during_a_pull_travels_as_its_deletion(api):
    filled(api)
    listed = api.get("/Cars/changes?since=-1").json
    shown = [{**listed[0], "prev": "d" * 40}, {**listed[1], "prev": None}, {**listed[2]}]
    api.delete("/Cars/c0")
    api.delete("/Cars/c1")

    updates = api.post("/Cars/create-updates", shown).json

    assert [("delete", "c0"), ("create", "c2")] == [
        (one["type"], one["change"]["modelId"]) for one in updates
    ]
    assert updates[0]["change"]["rev"] is None


def test_a_refused_entry_does_not_block_the_others(typed):
    entries = [
        entry("create", "d" * 40, None, {"id": "c1", "colour": "red"}),
        entry("create", "d" * 40, None, {"id": "c2"}, "c2"),
    ]

    answer = typed.post("/Cars/bulk-update", {"updates": entries})

    assert 422 == answer.status
    assert ["c1"] == list(answer.json["error"]["details"]["refused"])
    assert 200 == typed.get("/Cars/c2").status


def test_a_model_is_replicated_to_another(daemon):
    daemon.post("/Car", CAR)

    done = daemon.post("/Cars/replicate", {"target": "Truck"}).json

    assert [] == done["conflicts"]
    assert daemon.get("/Car").json == daemon.get("/Truck").json
    assert 400 == daemon.post("/Car/replicate", {}).status


def test_rectify_answers_the_change(api):
    api.post("/Cars", CAR)

    assert "c1" == api.post("/Cars/c1/rectify-change").json.get("modelId"), api._server.errors[-3:]
    assert {"count": 0} == api.post("/Cars/rectify-all").json


# ---- around --------------------------------------------------------------------------------------


def test_the_openapi_document_names_every_path(typed):
    told = typed.get("/openapi.json").json

    assert told["openapi"].startswith("3.")
    assert {"get", "post", "patch", "put"} == set(told["paths"]["/api/Cars"])
    assert "post" in told["paths"]["/api/Cars/bulk-update"]
    assert {"id", "maker"} <= set(told["components"]["schemas"]["Car"]["properties"])
    found = [op["operationId"] for path in told["paths"].values() for op in path.values()]
    assert len(found) == len(set(found))
    page = typed.get("")  # led to the page with a slash
    assert 200 == page.status
    assert b"openapi.json" in page.body


def test_pages_of_other_origins_may_not_write(daemon):
    foreign = {"Origin": "https://evil.example"}
    own = {"Origin": daemon.url}

    assert 401 == daemon.post("/Car", {"id": "1"}, headers=foreign).status
    assert 401 == daemon.request("OPTIONS", "/Car", headers=foreign).status
    assert 200 == daemon.post("/Car", {"id": "1"}, headers=own).status
    allowed = daemon.request("OPTIONS", "/Car", headers=own)
    assert (204, daemon.url) == (
        allowed.status, allowed.headers["Access-Control-Allow-Origin"]
    )  # fmt: skip


def test_a_connection_that_ends_in_the_middle_of_a_body_harms_nobody(daemon):
    host, port = daemon.url.removeprefix("http://").split(":")
    for tail in (b"", b"{", b"\x00" * 50):
        with socket.create_connection((host, int(port)), timeout=10) as link:
            head = "POST /api/Car/bulk-update HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            link.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + tail)

    assert 200 == daemon.get("/Car").status


def test_a_change_by_a_validation_hook_reaches_the_client_without_a_conflict(
    shared_agent, serve, tmp_path
):
    (tmp_path / "rules.py").write_text(
        "from syncline.hooks import Hooks, Refuse\n"
        "def validate(principal, before, data):\n"
        "    if data is not None and data.get('maker') == 'Trabant':\n"
        "        raise Refuse('not here')\n"
        "    return None if data is None else {**data, 'checked': True}\n"
        "def hooks():\n"
        "    return Hooks(validate={'*': validate})\n"
    )
    import os

    env = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    server = serve(env={**env, "SYNCLINE_HOOKS": "rules:hooks"})
    lb = shared_agent
    lb.local("hooked", model="Hooked")
    lb.remote("hooked-remote", model="Car", url=server.api, beside="hooked")
    server.post("/Cars", {"id": "c0"})
    lb.create("hooked", data=[CAR, {"id": "bad", "maker": "Trabant"}])

    with pytest.raises(Exception, match="not here"):
        lb.push("hooked", "hooked-remote")
    lb.destroy("hooked", key="bad")
    done = [lb.push("hooked", "hooked-remote"), lb.pull("hooked-remote", "hooked")]

    assert [[], []] == [one["conflicts"] for one in done]
    assert lb.get("hooked", key="c1")["checked"] is True


# ---- what selects nothing, and what is read by its property's kind -------------------------------


@pytest.mark.parametrize("where", [{"or": []}, {"and": []}, {"maker": "Ford", "or": []}], ids=str)
def test_one_of_none_selects_nothing(api, where):
    filled(api)
    since = api.get("/Cars/checkpoint").json

    assert [] == api.get("/Cars", query={"filter": {"where": where}}).json
    assert {"count": 0} == api.get("/Cars/count", query={"where": where}).json
    assert {"count": 0} == api.post("/Cars/update", {"model": "x"}, query={"where": where}).json
    assert [] == api.get("/Cars/changes", query={"since": -1, "filter": {"where": where}}).json
    assert since == api.get("/Cars/checkpoint").json


def test_an_update_without_a_where_is_refused(api):
    filled(api)

    refused = api.post("/Cars/update", {"model": "x"})

    assert 400 == refused.status
    assert "where" in refused.json["error"]["message"]
    assert {"count": 6} == api.post("/Cars/update", {"model": "x"}, query={"where": {}}).json


def test_a_filter_is_read_by_its_propertys_kind(typed):
    text, day = "2026-01-01T01:00:00+01:00", "2026-01-01"
    typed.post("/Cars", {"id": "c1", "maker": text, "built": text, "year": 7})

    for where in (
        {"maker": text},
        {"built": text},
        {"built": day},
        {"built": {"gte": day}},
        {"year": "7"},
        {"year": {"inq": ["7"]}},
    ):
        assert ["c1"] == ids(typed.get("/Cars", query={"filter": {"where": where}})), where


def test_an_id_in_the_body_follows_the_models_id(typed):
    made = typed.post("/Cars", {"id": 77, "maker": "Ford"})

    assert "77" == made.json["id"] == typed.get("/Cars/77").json["id"]


def test_one_id_over_the_length_is_refused_alone(api):
    long = "x" * 300
    shown = [changed("a" * 40, None, long), changed("b" * 40, None, "c1")]
    deltas = api.post("/Cars/diff", shown).json["deltas"]
    updates = [entry("create", None, None, {"id": i}, i) for i in (long, "c1")]
    sent = api.post("/Cars/bulk-update", {"updates": updates})

    assert [long, "c1"] == [one["modelId"] for one in deltas]
    assert 422 == sent.status
    assert [long[:80]] == list(sent.json["error"]["details"]["refused"])
    assert ["c1"] == ids(api.get("/Cars"))


def test_a_diff_of_no_list_is_400_and_a_delete_of_the_unknown_is_named(api):
    made = api.post("/Cars/create-updates", [changed(None, "a" * 40, "never")]).json

    assert 400 == api.post("/Cars/diff", {}).status
    assert [("delete", "never")] == [(one["type"], one["change"]["modelId"]) for one in made]


def test_a_list_with_a_duplicate_makes_the_others(api):
    api.post("/Cars", CAR)

    made = api.post("/Cars", [{"id": "c0"}, CAR, {"id": "c2"}])

    assert 409 == made.status
    assert ["c0", "c1", "c2"] == sorted(ids(api.get("/Cars")))


def test_orders_brackets_heads_and_slashes_are_as_stock_has_them(api):
    filled(api)

    assert ["c5", "c3"] == ids(
        api.get("/Cars", query={"filter": {"order": "maker DESC, year DESC", "limit": 2}})
    )
    for query in ("[inq]=c1&filter[where][id][inq]=c2", "[inq][]=c1&filter[where][id][inq][]=c2"):
        assert ["c1", "c2"] == ids(api.get(f"/Cars?filter[where][id]{query}"))
    paths = ("/Cars", "/Cars/", "/Cars/count", "/Cars/c1/exists", "/Cars/c1/", "/Cars/findOne")
    assert [200] * 6 == [api.request("HEAD", path).status for path in paths]
    assert {"count": 6} == api.get("/Cars/count/").json
    assert "c1" == api.get("/Cars/c1/").json["id"]
