"""A page in Chromium: its store, and what becomes of it when the browser takes things away."""

import json

import pytest


SEEDED = 10_000
STORES = ("indexeddb:todos", "localstorage:todos", "memory:")


@pytest.mark.parametrize("store", STORES)
def test_page_writes_and_hears_what_others_write(store, browser, open_page, daemon, records, node):
    page = open_page(browser, store)
    page.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")
    assert {"1": {"id": "1", "title": "milk"}} == records(daemon)

    page.evaluate("void (window.heard = todo.watch().next())")
    other = open_page(browser, "memory:")
    other.evaluate("todo.patch('1', {done: true})")

    heard = page.evaluate("heard.then(({value}) => value.data)")
    assert {"id": "1", "title": "milk", "done": True} == heard
    assert store.partition(":")[0] == page.evaluate("replica.status.storage")


@pytest.mark.parametrize("store", STORES[:2])
def test_writes_made_offline_survive_the_browser(store, new_browser, open_page, daemon, records):
    browser = new_browser()
    page = open_page(browser, store)
    daemon.end()
    page.evaluate("todo.put('1', {title: 'milk'})")
    browser.close()

    daemon.start()
    page = open_page(new_browser(), store)

    assert {"1": {"id": "1", "title": "milk"}} == records(daemon)
    assert 0 == page.evaluate("replica.status.pending")


def test_ten_thousand_records_arrive_whole_and_are_there_again_offline(
    new_browser, open_page, daemon, seeded
):
    seeded(daemon, SEEDED)
    browser = new_browser()
    page = open_page(browser)
    assert SEEDED == page.evaluate("todo.count()")
    browser.close()
    daemon.end()

    page = open_page(new_browser(), live=False)

    assert SEEDED == page.evaluate("todo.count()")
    assert {"id": "07777", "n": 7777} == page.evaluate("todo.get('07777')")
    assert "live" != page.evaluate("replica.status.state")


def test_conflict_of_two_pages_is_listed_and_settled(browser, open_page, daemon, records):
    one = open_page(browser, "indexeddb:one")
    one.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")
    other = open_page(browser, "indexeddb:other")
    for page, title in ((one, "oat milk"), (other, "soy milk")):
        page.evaluate("replica.link.pause()")
        page.evaluate("(title) => todo.patch('1', {title})", title)
    one.evaluate("replica.link.resume().then(() => replica.link.waitLive(20000))")
    other.evaluate("replica.link.resume().then(() => replica.barrier(20000))")

    sides = """replica.conflicts().then(([one]) => {
      window.conflict = one;
      return [one.base.title, one.ours.title, one.theirs.title];
    })"""
    assert ["milk", "soy milk", "oat milk"] == other.evaluate(sides)

    other.evaluate("conflict.resolve('ours').then(() => replica.link.waitLive(20000))")
    assert "soy milk" == records(daemon)["1"]["title"]


def test_transaction_arrives_whole(browser, open_page, daemon, records):
    page = open_page(browser)

    page.evaluate("""replica.transaction((tx) => {
      tx.model("todo").put("1", {title: "milk"});
      tx.model("todo").put("2", {title: "bread"});
    }).then(() => replica.link.waitLive(20000))""")

    assert {"1", "2"} == set(records(daemon))


def test_cleared_storage_is_written_again_and_the_status_says_so(browser, open_page, site):
    page = open_page(browser)
    page.evaluate("todo.put('1', {title: 'milk'})")
    cdp = browser.new_cdp_session(page)
    cdp.send("Storage.clearDataForOrigin", {"origin": site, "storageTypes": "all"})

    page.evaluate("todo.put('2', {title: 'bread'}).then(() => replica.link.waitLive(20000))")

    assert "cleared" in page.evaluate("replica.status.notice")
    again = open_page(browser)
    assert 2 == again.evaluate("todo.count()")
    # It is the same replica, not one that has just read everything anew.
    ids = [one.evaluate("replica.replicaId") for one in (page, again)]
    assert ids[0] == ids[1]


BREAKAGES = {
    "open throws": """IDBFactory.prototype.open = () => {
      throw new DOMException('no', 'InvalidStateError');
    }""",
    "open fails": """IDBFactory.prototype.open = function () {
      const request = {addEventListener: (name, f) => name === "error" && setTimeout(f)};
      return Object.assign(request, {error: new DOMException("broken", "UnknownError")});
    }""",
    "no database at all": "Object.defineProperty(window, 'indexedDB', {value: undefined})",
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES)
def test_without_a_database_the_page_goes_on_in_memory_and_says_so(breakage, browser, open_page):
    page = browser.new_page()
    page.add_init_script(breakage)

    open_page(browser, page=page)

    assert "memory" == page.evaluate("replica.status.storage")
    assert "lost with the page" in page.evaluate("replica.status.notice")


def test_without_fallback_a_broken_database_is_an_error_by_name(browser, open_page):
    page = browser.new_page()
    page.add_init_script(BREAKAGES["open throws"])
    open_page(browser, "memory:", page=page)

    code = page.evaluate("""syncline.connect(location.origin, {models: ["todo"], fallback: false})
      .catch(({code}) => code)""")

    assert "store_unavailable" == code


def test_private_window_keeps_records_for_as_long_as_it_is_open(
    private, chromium, open_page, daemon, records
):
    page = open_page(private)
    page.evaluate("replica.link.pause()")
    page.evaluate("todo.put('1', {title: 'milk'})")
    assert ["indexeddb", ""] == page.evaluate("[replica.status.storage, replica.status.notice]")
    page.close()

    page = open_page(private)

    assert {"1": {"id": "1", "title": "milk"}} == records(daemon)
    assert 1 == page.evaluate("todo.count()")
    with chromium.new_context() as another:
        other = open_page(another, live=False)
        assert page.evaluate("replica.replicaId") != other.evaluate("replica.replicaId")


@pytest.fixture
def forbidding(new_browser, tmp_path):
    """A browser whose user lets no site keep anything."""
    settings = tmp_path / "forbids" / "Default" / "Preferences"
    settings.parent.mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    settings.write_text(json.dumps(blocked))
    return new_browser("forbids")


@pytest.mark.parametrize("store", STORES[:2])
def test_browser_that_lets_no_site_keep_anything_is_told_of(
    store, forbidding, open_page, daemon, records
):
    page = open_page(forbidding, store)

    assert "memory" == page.evaluate("replica.status.storage")
    assert "lost with the page" in page.evaluate("replica.status.notice")
    page.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")
    assert {"1"} == set(records(daemon))


def set_quota(browser, page, site, **quota):
    """Let the browser give the site so many bytes; without a number as many as there are."""
    cdp = browser.new_cdp_session(page)
    cdp.send("Storage.overrideQuotaForOrigin", {"origin": site, **quota})


def test_full_storage_refuses_the_write_by_name_and_frees_itself(
    browser, open_page, site, daemon, records
):
    page = browser.new_page()
    set_quota(browser, page, site, quotaSize=50_000)
    open_page(browser, page=page)
    page.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")

    # The browser looks at what was used before a write, so the first one too many passes.
    refused, code = page.evaluate("""(async () => {
      for (let id = 2; id < 20; id += 1) {
        try {
          await todo.put(String(id), {title: 'x'.repeat(500000)});
        } catch ({code}) {
          return [String(id), code];
        }
      }
    })()""")
    assert "store_full" == code
    assert page.evaluate("(id) => todo.get(id)", refused) is None

    set_quota(browser, page, site)
    page.evaluate("(id) => todo.put(id, {}).then(() => replica.link.waitLive(20000))", refused)
    assert {"1", refused} <= set(records(daemon))


def test_full_storage_blocks_the_link_until_there_is_room(browser, open_page, site):
    page = browser.new_page()
    set_quota(browser, page, site, quotaSize=50_000)
    open_page(browser, page=page)
    other = open_page(browser, "memory:")

    other.evaluate("""(async () => {
      for (let id = 0; id < 10; id += 1) {
        await todo.put(String(id), {title: 'x'.repeat(500000)});
        await replica.link.waitLive(20000);
      }
    })()""")
    page.wait_for_function("replica.status.reason === 'storage: store_full'")
    assert page.evaluate("todo.count()") < 10

    set_quota(browser, page, site)
    page.evaluate("replica.link.waitLive(40000)")
    assert 10 == page.evaluate("todo.count()")


def test_page_comes_back_from_the_back_forward_cache_and_catches_up(new_browser, open_page, site):
    browser = new_browser(ignore_default_args=["--disable-back-forward-cache"])
    page = open_page(browser)
    page.evaluate("window.isKept = true")
    page.goto(f"{site}/other.html")
    other = open_page(browser, "memory:")
    other.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")

    # A page of the cache is not loaded, so there is no load to wait for.
    page.go_back(wait_until="commit")

    page.wait_for_function("window.isKept === true")
    page.evaluate("replica.barrier(20000)")
    assert 1 == page.evaluate("todo.count()")
    heard = page.evaluate("events.map(([, event]) => event)")
    assert {"page.suspended", "page.restored"} <= set(heard)
