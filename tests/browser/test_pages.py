"""The daemon's pages, as a person meets them: a real daemon, a real Chromium."""

import asyncio
import gzip
import hashlib
import os
import shutil
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import socketio
from aiohttp import web

import syncline
from syncline import blocking
from synclined.app import build_app
from synclined.pages import serving


ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / ".artifacts" / "pages"
WAIT_S = 60
PAGES = ("/", "/demo", "/conflicts")
LIVE = "#status[data-state=live]"


@pytest.fixture(scope="session")
def served_bundle(bundle):
    """Put a bundle of now where a daemon of this checkout looks for it."""
    if not bundle.exists():
        pytest.fail("the bundle was not built")
    place = serving.PLACES[0]
    place.parent.mkdir(exist_ok=True)
    fresh = place.with_name(f".{os.getpid()}.js")
    shutil.copy(bundle, fresh)
    fresh.replace(place)


@pytest.fixture
def daemon(new_daemon, served_bundle):
    return new_daemon()


@pytest.fixture
def visit(browser):
    """Open pages; none of them may complain in its console."""
    complaints = []

    def note(message):
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.type}: {message.text}")

    def open_it(url, wait=None, context=None):
        page = (context or browser).new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
        page.goto(url)
        if wait:
            page.wait_for_selector(wait)
        return page

    open_it.complaints = complaints
    yield open_it
    assert complaints == []


@pytest.fixture
def phone(daemon):
    """A Python replica of the daemon."""
    with blocking.connect(daemon.url, models=["todo", "note", "game", "host"]) as replica:
        replica.wait_live(WAIT_S)
        yield replica


def reaches(replica, model, condition):
    """Wait until a record of a replica is so."""
    handle = replica.model(model)
    with handle.watch() as watch:
        while True:
            found = [record for record in handle.find() if condition(record)]
            if found:
                return found[0]
            watch.next(WAIT_S)


def leaves(replica, model, record_id):
    """Wait until a replica has a record no more."""
    handle = replica.model(model)
    with handle.watch() as watch:
        while handle.get(record_id) is not None:
            watch.next(WAIT_S)


def text_of(page, selector, text):
    """Wait until an element shows a text."""
    page.locator(selector, has_text=text).first.wait_for()


def open_model(page, model="todo"):
    """Open a model's records by the keyboard."""
    page.locator(f"#models tr[data-key={model}]").press("Enter")
    page.wait_for_selector("#browser-status[data-state=live]")


def clash(daemon, record_id="1", base=None, ours=None, theirs=None):
    """Have a client push what collides; return it, cut off, with what it wrote."""
    base = base or {"title": "milk", "n": 1, "done": False}
    phone = blocking.connect(daemon.url, models=["todo"])
    # What it ends with unsent stays there.
    store = str(daemon.folder / f"tablet-{record_id}.db")
    tablet = blocking.connect(daemon.url, store=store, models=["todo"])
    try:
        phone.model("todo").put(record_id, base)
        phone.wait_live(WAIT_S)
        tablet.barrier(WAIT_S)
        tablet._loop.call(tablet._replica.link.pause())
        if ours is None:
            phone.model("todo").delete(record_id)
        else:
            phone.model("todo").put(record_id, ours)
        phone.wait_live(WAIT_S)
        tablet.model("todo").put(record_id, theirs)
        change = tablet.model("todo").get_change(record_id)

        async def push():
            async with await syncline.connect_remote(daemon.url) as remote:
                return await remote.model("todo").bulk_update([change])

        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(asyncio.run, push()).result(WAIT_S)
        assert "conflict" == result.results[0].answer
    finally:
        phone.close()
    return tablet


# ---- the dashboard ---------------------------------------------------------------------------


def test_dashboard_shows_models_replicas_and_samples_as_they_move(daemon, visit, phone):
    page = visit(daemon.url, LIVE)
    text_of(page, "#models", "no model yet")

    phone.model("todo").put("1", {"title": "milk"})

    row = "#models tr[data-key=todo]"
    text_of(page, f"{row} td:nth-child(2)", "1")
    text_of(page, f"#replicas tr[data-key='{phone.replica_id}']", "anyone")
    page.wait_for_selector("#changes path[d*=L]", state="attached")
    text_of(page, ".tile", "MiB")

    phone.model("todo").put_many([{"id": str(n), "title": "milk"} for n in range(2, 6)])
    text_of(page, f"{row} td:nth-child(2)", "5")


def test_row_of_a_model_keeps_the_focus_while_its_count_moves(daemon, visit, phone):
    phone.model("todo").put("1", {"title": "milk"})
    page = visit(daemon.url, LIVE)
    row = page.locator("#models tr[data-key=todo]")
    row.focus()

    phone.model("todo").put("2", {"title": "bread"})

    text_of(page, "#models tr[data-key=todo] td:nth-child(2)", "2")
    assert "todo" == page.evaluate("document.activeElement.dataset.key")


def test_record_changed_elsewhere_flashes_and_shows_the_new_value(daemon, visit, phone):
    phone.model("todo").put_many([{"id": "1", "title": "milk"}, {"id": "2", "title": "bread"}])
    page = visit(daemon.url, LIVE)
    open_model(page)
    text_of(page, "#records tr[data-key='1']", "milk")
    page.evaluate("""document.addEventListener("animationstart", ({target}) => {
      document.body.dataset.flashed = (document.body.dataset.flashed ?? "") + target.dataset.key;
    })""")

    phone.model("todo").patch("1", {"title": "oat milk"})

    text_of(page, "#records tr[data-key='1']", "oat milk")
    page.wait_for_selector("body[data-flashed='1']")


def test_only_the_rows_in_view_of_many_exist_and_the_keys_lead_to_all(daemon, visit, phone):
    count = 3000
    phone.model("todo").put_many([{"id": f"{n:04}", "title": f"n {n}"} for n in range(count)])
    page = visit(daemon.url, LIVE)
    open_model(page)
    text_of(page, "#browser-count", "3,000 records")
    rows = page.locator("#records tr[data-key]")
    assert rows.count() < 80
    rows.first.focus()

    page.keyboard.press("End")
    assert "2999" == page.evaluate("document.activeElement.dataset.key")
    assert rows.count() < 80
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowUp")
    place = int(page.evaluate("document.activeElement.dataset.key"))
    assert 2900 < place < 2998

    # A record that comes before it moves the row, and not the keyboard's place.
    phone.model("todo").put("0000a", {"title": "another"})
    text_of(page, "#browser-count", "3,001 records")
    assert place == int(page.evaluate("document.activeElement.dataset.key"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    text_of(page, "#editor-title", "todo 0000a")


def test_row_that_is_scrolled_away_and_back_shows_the_record_as_it_is(daemon, visit, phone):
    phone.model("todo").put_many([{"id": f"{n:04}", "title": f"n {n}"} for n in range(1000)])
    page = visit(daemon.url, LIVE)
    open_model(page)
    text_of(page, "#browser-count", "1,000 records")
    page.evaluate("void (document.querySelector('#window').scrollTop = 1e9)")
    text_of(page, "#records tr[data-key='0999']", "n 999")
    assert 0 == page.locator("#records tr[data-key='0000']").count()

    phone.model("todo").patch("0000", {"title": "milk"})
    phone.model("todo").delete("0001")
    text_of(page, "#browser-count", "999 records")
    page.evaluate("void (document.querySelector('#window').scrollTop = 0)")

    text_of(page, "#records tr[data-key='0000']", "milk")
    assert 0 == page.locator("#records tr[data-key='0001']").count()


def test_error_that_somebody_was_told_is_listed(daemon, visit):
    page = visit(daemon.url, LIVE)
    text_of(page, "#errors", "none")

    async def say_nonsense():
        stock = socketio.AsyncClient()
        await stock.connect(daemon.url, auth={"protocol": 1})
        await stock.call("nonsense", {})
        await stock.disconnect()

    # The browser's driver has a loop running on this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, say_nonsense()).result(WAIT_S)

    text_of(page, "#errors", "event_unknown")
    text_of(page, "#errors", "there is no event 'nonsense'")


def test_dashboard_says_that_what_it_shows_is_old_while_the_daemon_is_away(daemon, visit):
    page = visit(daemon.url, LIVE)
    stale = page.locator("#stale")
    assert 0 == stale.count()

    daemon.end()
    page.get_by_text("The daemon does not answer. What you see is from").wait_for()

    daemon.start()
    page.wait_for_selector(LIVE)
    stale.wait_for(state="hidden")
    # The browser says in the console that nobody answered, and the replica that the state is new.
    expected = ("WebSocket connection", "Failed to load resource", "reset.", "link.unreached")
    assert [] == [text for text in visit.complaints if not any(one in text for one in expected)]
    visit.complaints.clear()


def test_address_names_a_model_and_a_record(daemon, visit, phone):
    phone.model("todo").put("1", {"title": "milk"})
    page = visit(daemon.url, LIVE)
    page.get_by_role("link", name="todo", exact=True).click()
    text_of(page, "#records", "milk")
    assert page.url.endswith("/#todo")

    page = visit(f"{daemon.url}/#todo/1", LIVE)

    page.wait_for_selector("#editor[open]")
    assert "milk" in page.input_value("#editor-text")

    page = visit(f"{daemon.url}/#todo/none", LIVE)

    page.get_by_text("There is no record todo/none.").wait_for()


def test_empty_daemon_teaches_a_first_write_that_works_as_it_is_copied(daemon, visit):
    page = visit(daemon.url, LIVE)
    page.get_by_role("heading", name="Nothing is kept here yet").wait_for()
    terminal, python, _page = page.locator("#teach pre").all_inner_texts()

    exec(python, {})

    page.wait_for_selector("#teach", state="hidden")
    page.get_by_role("cell", name="todo", exact=True).wait_for()
    assert f"syncline put {daemon.url} todo 1 title=milk" == terminal


def test_conflicts_are_not_to_be_settled_while_the_daemon_is_away(daemon, visit):
    page = visit(f"{daemon.url}/conflicts", LIVE)
    page.wait_for_selector("#list:not([inert])", state="attached")

    daemon.end()
    page.get_by_text("The daemon does not answer. What you see is from").wait_for()
    page.wait_for_selector("#list[inert]", state="attached")

    daemon.start()
    page.wait_for_selector("#list:not([inert])", state="attached")
    # As for the dashboard.
    expected = ("WebSocket connection", "Failed to load resource", "reset.", "link.unreached")
    assert [] == [text for text in visit.complaints if not any(one in text for one in expected)]
    visit.complaints.clear()


def test_filter_finds_by_text_and_by_a_condition(daemon, visit, phone):
    titles = ("milk", "bread", "oat milk")
    phone.model("todo").put_many([{"id": str(n), "title": t, "n": n} for n, t in enumerate(titles)])
    page = visit(daemon.url, LIVE)
    open_model(page)
    text_of(page, "#browser-count", "3 records")

    page.fill("#filter", "MILK")
    text_of(page, "#browser-count", "2 records")

    page.fill("#filter", '{"n": {"gt": 1}}')
    text_of(page, "#browser-count", "1 record")
    text_of(page, "#records", "oat milk")

    page.fill("#filter", '{"n": {"nonsense": 1}}')
    text_of(page, "#browser-count", "nonsense")


def test_records_made_edited_and_deleted_in_the_page_reach_a_python_replica(daemon, visit, phone):
    phone.model("todo").put("1", {"title": "milk"})
    page = visit(daemon.url, LIVE)
    open_model(page)

    page.click("#new")
    page.fill("#editor-text", '{"id": "2", "title": "bread"')
    page.click("#save")
    text_of(page, "#editor-error", "JSON")
    page.fill("#editor-text", '{"id": "2", "title": "bread"}')
    page.click("#save")
    reaches(phone, "todo", lambda record: record == {"id": "2", "title": "bread"})

    page.locator("#records tr[data-key='1']").press("Enter")
    page.fill("#editor-text", '{"id": "1", "title": "oat milk"}')
    page.click("#save")
    reaches(phone, "todo", lambda record: record == {"id": "1", "title": "oat milk"})

    page.click("#records tr[data-key='2']")
    page.click("#remove")
    leaves(phone, "todo", "2")
    page.wait_for_selector("#records tr[data-key='2']", state="detached")


def test_editor_does_not_write_over_what_was_changed_meanwhile_unsaid(daemon, visit, phone):
    phone.model("todo").put("1", {"title": "milk"})
    page = visit(daemon.url, LIVE)
    open_model(page)
    page.click("#records tr[data-key='1']")
    phone.model("todo").patch("1", {"title": "bread"})
    text_of(page, "#records", "bread")

    page.fill("#editor-text", '{"id": "1", "title": "oat milk"}')
    page.click("#save")
    text_of(page, "#editor-error", "meanwhile")
    assert "bread" == phone.model("todo").get("1")["title"]

    page.click("#save")
    reaches(phone, "todo", lambda record: record["title"] == "oat milk")


# ---- the demo --------------------------------------------------------------------------------


def side(page, n):
    return page.locator("#replicas article").nth(n)


def discs(page, n, colour):
    return side(page, n).locator(f".board i[data-side='{colour}']")


def demo(daemon, visit):
    page = visit(f"{daemon.url}/demo")
    for n in (0, 1):
        side(page, n).locator(".badge[data-state=live]").wait_for()
    return page


def test_move_on_one_board_appears_on_the_other(daemon, visit):
    page = demo(daemon, visit)

    side(page, 0).get_by_label("column 4").click()

    discs(page, 1, 0).wait_for()
    side(page, 1).get_by_label("column 3").click()
    discs(page, 0, 1).wait_for()


def test_keyboard_stays_at_its_column_after_a_move(daemon, visit):
    page = demo(daemon, visit)

    side(page, 0).get_by_label("column 4").press("Enter")

    side(page, 0).get_by_label("column 4: red").wait_for()
    side(page, 1).get_by_label("column 4: red").wait_for()
    assert "column 4: red" == page.evaluate("document.activeElement.ariaLabel")


def test_host_is_drawn_as_it_moves(daemon, visit, phone):
    phone.model("host").put("cpu", {"percent": 20, "cores": 2, "at_us": 1})
    page = demo(daemon, visit)
    text_of(page, "#host-use", "cpu 20 %")

    phone.model("host").put("cpu", {"percent": 40, "cores": 2, "at_us": 2})

    text_of(page, "#host-use", "cpu 40 %")
    text_of(page, "#host-rows tr[data-key=cpu]", "percent 40")
    page.wait_for_selector("#host-chart path.line[d*=L]", state="attached")


def test_side_that_is_cut_off_keeps_its_writes_until_it_is_joined(daemon, visit, phone):
    page = demo(daemon, visit)
    side(page, 0).get_by_label("cut off").check()
    side(page, 0).get_by_text("offline: what others write is not here").wait_for()
    assert 0 == side(page, 0).get_by_text("level").count()
    side(page, 0).locator(".badge[data-state=offline]").wait_for()

    side(page, 0).get_by_label("column 4").click()
    side(page, 0).get_by_text("1 to be sent").wait_for()
    assert 0 == discs(page, 1, 0).count()
    assert phone.model("game").get("browser") is None

    side(page, 0).get_by_label("cut off").uncheck()
    discs(page, 1, 0).wait_for()
    side(page, 0).get_by_text("level").wait_for()
    reaches(phone, "game", lambda record: record["moves"] == [3])


def test_conflict_made_by_a_button_is_settled_by_another(daemon, visit, phone):
    page = demo(daemon, visit)

    page.click("#collide")
    page.get_by_text("1 conflict").first.wait_for()
    note = phone.model("note").get("shared")["text"]
    winner, loser = (0, 1) if note.startswith("Red") else (1, 0)
    side(page, loser).get_by_role("button", name="keep theirs").click()

    side(page, loser).get_by_role("button", name="keep theirs").wait_for(state="detached")
    from playwright.sync_api import expect

    for n in (0, 1):
        place = side(page, n).get_by_placeholder("a note that both share")
        expect(place).to_have_value(note, timeout=WAIT_S * 1000)
    assert note == phone.model("note").get("shared")["text"]
    side(page, winner).get_by_text("level").wait_for()


# ---- the inbox -------------------------------------------------------------------------------


OURS = {"title": "oat milk", "n": 1, "done": False, "shop": "corner"}
THEIRS = {"title": "soy milk", "n": 2, "done": False}


def returns(tablet, condition):
    """Join the client that was cut off, and wait until it holds the resolution."""
    tablet._loop.soon(tablet._replica.link.resume)
    record = reaches(tablet, "todo", condition)
    tablet.wait_live(WAIT_S)
    assert [] == tablet.conflicts()
    return record


def field(page, name):
    return page.locator("fieldset", has=page.locator(f"legend span:text-is('{name}')"))


def test_inbox_shows_the_sides_and_what_is_picked_reaches_the_client(daemon, visit):
    with clash(daemon, ours=OURS, theirs=THEIRS) as tablet:
        page = visit(f"{daemon.url}/conflicts", "syncline-conflict")
        text_of(page, "#count", "1 conflict waits")
        assert ["base", "ours", "theirs"] == [
            text.strip() for text in field(page, "title").locator(".sides small").all_inner_texts()
        ]
        assert ["not known here", "oat milk", "soy milk"] == (
            field(page, "title").locator(".sides .mono").all_inner_texts()
        )
        field(page, "title").get_by_label("title: theirs").check()
        field(page, "n").get_by_label("n, edited").fill("7")

        page.get_by_role("button", name="Keep these choices").click()

        text_of(page, "#list", "Nothing waits")
        text_of(page, "#count", "0 conflicts wait")
        record = returns(tablet, lambda record: record["title"] == "soy milk" and record["n"] == 7)
        assert {"id": "1", "title": "soy milk", "n": 7, "done": False, "shop": "corner"} == record
        page.get_by_label("show settled ones").check()
        text_of(page, "syncline-conflict", "settled")
        assert 0 == page.get_by_role("button", name="Keep all of theirs").count()


@pytest.mark.parametrize("button", ["Keep all of theirs", "All: keep theirs"])
def test_inbox_settles_whole_records_and_all_at_once(button, daemon, visit):
    with (
        clash(daemon, "1", ours=OURS, theirs=THEIRS) as tablet,
        clash(daemon, "2", ours=OURS, theirs=THEIRS),
    ):
        page = visit(f"{daemon.url}/conflicts", "syncline-conflict")
        text_of(page, "#count", "2 conflicts wait")

        page.get_by_role("button", name=button, exact=True).last.click()
        if button.startswith("Keep"):
            text_of(page, "#count", "1 conflict waits")
            page.get_by_role("button", name=button, exact=True).click()

        text_of(page, "#list", "Nothing waits")
        record = returns(tablet, lambda record: record["title"] == "soy milk")
        assert {"id": "1", **THEIRS} == record


@pytest.fixture
def met(daemon):
    """Have a replica meet conflicts by pulling; return it, and the one whose edits were first."""
    opened = []

    def collide(*record_ids, base=BASE, ours=PULLED, theirs=WAITING):
        phone, tablet = (blocking.connect(daemon.url, models=["todo"]) for _ in range(2))
        opened.extend((phone, tablet))
        for record_id in record_ids:
            phone.model("todo").put(record_id, base)
        phone.wait_live(WAIT_S)
        tablet.barrier(WAIT_S)
        tablet._loop.call(tablet._replica.link.pause())
        for record_id in record_ids:
            phone.model("todo").put(record_id, ours)
            tablet.model("todo").put(record_id, theirs)
        phone.wait_live(WAIT_S)
        tablet._loop.soon(tablet._replica.link.resume)
        tablet.barrier(WAIT_S)
        assert len(record_ids) == len(tablet.conflicts())
        return phone, tablet

    yield collide
    for replica in opened:
        replica.close()


BASE = {"title": "milk", "n": 1, "done": False, "shop": "corner"}
PULLED = {"title": "oat milk", "n": 1, "done": False, "shop": "market"}
WAITING = {"title": "soy milk", "n": 2, "done": False, "shop": "corner"}


def values(page, name):
    return field(page, name).locator(".sides .mono").all_inner_texts()


def test_conflict_met_by_pulling_is_shown_with_its_base_and_settled_field_by_field(
    daemon, visit, met
):
    """Both replicas end equal, and nothing waits anywhere."""
    phone, tablet = met("1")
    page = visit(f"{daemon.url}/conflicts", "syncline-conflict")
    text_of(page, "#count", "1 conflict waits")

    assert ["milk", "oat milk", "soy milk"] == values(page, "title")
    assert ["1", "1", "2"] == values(page, "n")
    assert ["corner", "market", "corner"] == values(page, "shop")
    text_of(page, "fieldset", "changed on both sides")
    text_of(page, "syncline-conflict", "Equal on both sides: id, done")
    text_of(page, ".holder", f"{tablet.replica_id[:8]}… (connected)")
    # Whoever changed a field alone is right about it.
    text_of(page, ".conflict-preview", '"title":"oat milk","n":2,"done":false,"shop":"market"')
    field(page, "title").get_by_label("title: theirs").check()
    field(page, "shop").get_by_label("shop, edited").fill("bakery")
    text_of(page, ".conflict-preview", '"title":"soy milk","n":2,"done":false,"shop":"bakery"')
    page.get_by_role("button", name="Keep these choices").click()

    text_of(page, "#list", "Nothing waits")
    chosen = {"id": "1", "title": "soy milk", "n": 2, "done": False, "shop": "bakery"}
    for replica in (phone, tablet):
        assert chosen == reaches(replica, "todo", lambda record: record == chosen)
        replica.wait_live(WAIT_S)
        assert ([], 0) == (replica.conflicts(), replica.status.conflicts)
    page.get_by_label("show settled ones").check()
    text_of(page, "syncline-conflict", "settled")
    assert ["milk", "oat milk", "soy milk"] == values(page, "title")


def test_conflict_that_its_replica_settles_leaves_the_inbox(daemon, visit, met):
    _phone, tablet = met("1")
    page = visit(f"{daemon.url}/conflicts", "syncline-conflict")

    tablet.conflicts()[0].resolve("theirs")

    text_of(page, "#list", "Nothing waits")


def test_choice_upon_what_has_changed_meanwhile_is_not_kept(daemon, visit, met):
    phone, _tablet = met("1")
    page = visit(f"{daemon.url}/conflicts", "syncline-conflict")
    # The state tells of it within a second, unless the page is held back from hearing that.
    page.evaluate("""() => {
      const { connectRemote: connect } = syncline;
      const held = new Promise((resolve) => { window.go = resolve; });
      const connectRemote = (...args) => held.then(() => connect(...args));
      window.syncline = { ...syncline, connectRemote };
    }""")
    page.get_by_role("button", name="Keep these choices").click()
    phone.model("todo").put("1", {**PULLED, "title": "rice milk"})
    phone.wait_live(WAIT_S)

    page.evaluate("window.go()")

    from playwright.sync_api import expect

    expect(field(page, "title").locator(".sides .mono").nth(1)).to_have_text("rice milk")
    text_of(page, "#count", "1 conflict waits")
    assert "rice milk" == phone.model("todo").get("1")["title"]


def test_some_are_chosen_and_settled_by_the_keyboard(daemon, visit, met):
    phone, _tablet = met("1", "2", "3")
    page = visit(f"{daemon.url}/conflicts", "syncline-conflict")
    text_of(page, "#count", "3 conflicts wait")
    text_of(page, "#all-theirs", "All: keep theirs")

    for record_id in ("1", "3"):
        page.get_by_label(f"choose todo {record_id}").focus()
        page.keyboard.press("Space")
    text_of(page, "#all-theirs", "2 chosen: keep theirs")
    page.locator("#all-theirs").press("Enter")
    text_of(page, "#count", "1 conflict waits")

    # Along the radio buttons to theirs, and to the button that keeps the choices.
    page.get_by_label("title: ours").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("title: theirs").is_checked()
    page.get_by_role("button", name="Keep these choices").press("Enter")
    text_of(page, "#list", "Nothing waits")
    page.wait_for_function("document.activeElement.id")

    assert "count" == page.evaluate("document.activeElement.id")
    for record_id in ("1", "2", "3"):
        reaches(phone, "todo", lambda r, i=record_id: r["id"] == i and r["title"] == "soy milk")


def test_inbox_keeps_a_deletion(daemon, visit):
    with clash(daemon, ours=None, theirs=THEIRS) as tablet:
        page = visit(f"{daemon.url}/conflicts", "syncline-conflict")

        page.get_by_role("button", name="Keep ours: deleted").click()

        text_of(page, "#list", "Nothing waits")
        tablet._loop.soon(tablet._replica.link.resume)
        leaves(tablet, "todo", "1")


# ---- tokens, and what is not there -----------------------------------------------------------


TOKENS = """
schemaless = ["todo", "note", "game"]
[[tokens]]
name = "me"
sha256 = "{}"
rights = {{ "*" = "write" }}
"""


@pytest.mark.parametrize("path", PAGES)
def test_daemon_with_tokens_asks_for_one_and_goes_on_with_it(
    path, new_daemon, visit, tmp_path, monkeypatch, served_bundle
):
    settings = tmp_path / "synclined.toml"
    settings.write_text(TOKENS.format(hashlib.sha256(b"sesame").hexdigest()))
    monkeypatch.setenv("SYNCLINE_CONFIG", str(settings))
    page = visit(new_daemon().url + path, "dialog.token")

    page.get_by_label("token").fill("wrong")
    page.get_by_role("button", name="Go on").click()
    text_of(page, "dialog.token", "does not know")
    page.get_by_label("token").fill("sesame")
    page.keyboard.press("Enter")

    page.wait_for_selector(".badge[data-state=live]")
    assert 0 == page.locator("dialog.token, .notice").count()
    assert "sesame" not in page.url
    # The replica says in the console that it was refused; nothing else is complained of.
    assert all("link.refused" in text for text in visit.complaints)
    visit.complaints.clear()


@pytest.fixture
def embedded(tmp_path):
    """Carry a daemon in an application of this process, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runners = []

    def call(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(WAIT_S)

    async def carry():
        app = build_app(access="anyone", store="memory:", pages=True)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield lambda: call(carry())
    for runner in runners:
        call(runner.cleanup())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def fetch(url, **headers):
    """Return (status, headers, body), whatever it is."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_without_the_bundle_daemon_and_pages_say_what_to_do(embedded, visit, tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "PLACES", (tmp_path / "syncline.js",))
    url = embedded()

    status, _headers, body = fetch(f"{url}/syncline.js")
    assert 503 == status
    assert b"npm ci --prefix client/browser" in body
    for path in PAGES:
        page = visit(url + path, ".notice")
        assert "npm ci --prefix client/browser" in page.inner_text(".notice")
    # The browser itself reports the file that it did not get; nothing else is complained of.
    assert all("503" in text for text in visit.complaints)
    visit.complaints.clear()


def test_installed_daemon_without_the_bundle_asks_for_no_folder_of_a_clone(
    embedded, tmp_path, monkeypatch
):
    monkeypatch.setattr(serving, "PLACES", (tmp_path / "syncline.js",))
    monkeypatch.setattr(serving, "CLONE", tmp_path / "client" / "browser")

    status, _headers, body = fetch(f"{embedded()}/syncline.js")

    assert 503 == status
    assert b"client/" not in body
    assert b"Install it from a wheel" in body


def test_bundle_that_a_wheel_holds_is_served(embedded, tmp_path, monkeypatch):
    place = tmp_path / "syncline.js"
    monkeypatch.setattr(serving, "PLACES", (tmp_path / "none.js", place))
    url = embedded()
    place.write_text("var syncline = 1;")

    assert b"var syncline = 1;" == fetch(f"{url}/syncline.js")[2]


@pytest.mark.parametrize("path", [*PAGES, "/syncline.js", "/pages/base.css", "/pages/shell.js"])
def test_what_a_browser_has_is_not_sent_again_and_may_do_little(path, embedded, served_bundle):
    url = embedded()
    status, headers, body = fetch(url + path)
    assert (200, True) == (status, len(body) > 0)

    again, kept, nothing = fetch(url + path, **{"If-None-Match": headers["ETag"]})

    assert (304, b"") == (again, nothing)
    for sent in (headers, kept):
        assert "default-src 'none'" in sent["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in sent["Content-Security-Policy"]
        assert "nosniff" == sent["X-Content-Type-Options"]
        assert headers["ETag"] == sent["ETag"]
    assert 200 == fetch(url + path, **{"If-None-Match": '"another"'})[0]


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fserving.py", "%2e%2e%2fserving.py"])
def test_asset_that_is_not_there_is_said_so(name, embedded):
    assert 404 == fetch(f"{embedded()}/pages/{name}")[0]


# ---- how it looks ----------------------------------------------------------------------------


LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


@pytest.fixture
def furnished(daemon, phone, met):
    """A daemon that has something to show."""
    titles = ("milk", "bread", "oat milk", "a long one: " + "call the people who repair roofs " * 4)
    phone.model("todo").put_many(
        [{"id": f"{n}", "title": t, "done": n % 2 == 0, "n": n} for n, t in enumerate(titles)]
    )
    phone.model("game").put("browser", {"moves": [3, 3, 2, 4, 4, 2, 1, 0]})
    phone.model("note").put("shared", {"text": "a note that both share"})
    phone.model("host").put_many(
        [
            {"id": "cpu", "percent": 20.5, "cores": 2, "at_us": 1795839109640745},
            {"id": "memory", "percent": 7.7, "used": 1958035456, "total": 25276502016},
        ]
    )
    met("7")
    with clash(daemon, "9", ours=OURS, theirs=THEIRS), clash(daemon, "8", theirs=THEIRS):
        yield daemon


@pytest.mark.parametrize("look", LOOKS)
def test_pages_fit_the_window_and_are_pictured(look, furnished, new_browser, visit):
    PICTURES.mkdir(parents=True, exist_ok=True)
    context = new_browser(f"look-{look}", **LOOKS[look])
    for path, name in zip(PAGES, ("dashboard", "demo", "conflicts"), strict=True):
        page = visit(furnished.url + path, ".badge[data-state=live]", context)
        if path == "/":
            open_model(page)
            text_of(page, "#records", "oat milk")
            page.wait_for_selector("#changes path[d*=L]", state="attached")
        elif path == "/conflicts":
            page.wait_for_selector("syncline-conflict")
        else:
            discs(page, 1, 0).first.wait_for()
        page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        page.screenshot(path=PICTURES / f"{name}-{look}.png", full_page=True, animations="disabled")
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{path} is {wider} px wider than the window"
        if path == "/":
            page.click("#records tr[data-key='1']")
            page.screenshot(path=PICTURES / f"editor-{look}.png", animations="disabled")


@pytest.mark.parametrize("path", ["/", "/syncline.js", "/pages/base.css"])
def test_what_a_browser_accepts_compressed_it_gets_so(path, embedded, served_bundle):
    url = embedded() + path
    _, plain_headers, plain = fetch(url)
    status, headers, packed = fetch(url, **{"Accept-Encoding": "br;q=0.5, gzip, deflate"})

    assert (200, "gzip", None) == (
        status,
        headers["Content-Encoding"],
        plain_headers["Content-Encoding"],
    )
    assert plain == gzip.decompress(packed)
    assert len(packed) < len(plain) / 2
    assert "Accept-Encoding" == headers["Vary"] == plain_headers["Vary"]
    assert headers["ETag"] != plain_headers["ETag"]
    known = {"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]}
    assert 304 == fetch(url, **known)[0]
    assert 200 == fetch(url, **{"If-None-Match": headers["ETag"]})[0]


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("GZIP;q=1.0", True),
        ("deflate, gzip;q=0.001", True),
        ("*", True),
        ("*;q=0.1", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *;q=1", False),
        ("br, x-gzip", False),
    ],
)
def test_only_who_accepts_it_is_sent_what_is_compressed(accepted, is_packed, embedded):
    _, headers, _ = fetch(f"{embedded()}/", **{"Accept-Encoding": accepted})

    assert is_packed is (headers["Content-Encoding"] == "gzip")


def test_a_bundle_that_was_built_again_is_served_compressed_too(embedded, tmp_path, monkeypatch):
    place = tmp_path / "syncline.js"
    monkeypatch.setattr(serving, "PLACES", (place,))
    url = f"{embedded()}/syncline.js"
    for text in ("var syncline = 1;" * 100, "var syncline = 22;" * 100):
        place.write_text(text)
        _, _, body = fetch(url, **{"Accept-Encoding": "gzip"})

        assert text == gzip.decompress(body).decode()
