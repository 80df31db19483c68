"""Tabs of one origin: one socket for all, whichever of them is closed, frozen or killed."""

import pytest


FAILOVER_MS = 5000


def live_tabs(browser, open_page, count):
    return [open_page(browser) for _ in range(count)]


def leaders(pages):
    return [page for page in pages if page.evaluate("replica.status.tab") == "leader"]


def close(browser, page):
    page.close()


def kill(browser, page):
    """Let the process that renders the page crash."""
    with page.expect_event("crash"), pytest.raises(Exception, match=r"[Cc]rash|ERR_ABORTED"):
        page.goto("chrome://crash", wait_until="commit")


def put_away(browser, page):
    """Leave the page for another one, so that the browser freezes it in its cache."""
    page.goto(f"{page.url}other.html")


def hang(browser, page):
    page.evaluate("setTimeout(() => { const end = Date.now() + 20000; while (Date.now() < end); })")


def test_all_tabs_share_one_socket(browser, open_page, daemon):
    pages = [browser.new_page() for _ in range(3)]
    opened = []
    for page in pages:
        page.on("websocket", lambda socket: opened.append(socket.url))

    for page in pages:
        open_page(browser, page=page)

    assert 1 == len(opened)
    assert 1 == len(leaders(pages))


def test_write_of_any_tab_reaches_the_daemon_and_the_other_tabs(
    browser, open_page, daemon, records
):
    pages = live_tabs(browser, open_page, 3)

    for index, page in enumerate(pages):
        page.evaluate(
            "(id) => todo.put(id, {}).then(() => replica.link.waitLive(20000))", str(index)
        )

    assert {"0", "1", "2"} == set(records(daemon))
    for page in pages:
        page.evaluate("replica.barrier(20000)")
        assert 3 == page.evaluate("todo.count()")


@pytest.mark.parametrize("end", [close, kill, put_away, hang], ids=lambda end: end.__name__)
def test_another_tab_takes_over_and_no_write_is_lost_or_doubled(
    end, new_browser, open_page, daemon, records, head
):
    browser = new_browser(ignore_default_args=["--disable-back-forward-cache"])
    pages = live_tabs(browser, open_page, 2)
    (leader,) = leaders(pages)
    (other,) = [page for page in pages if page is not leader]
    # Both write all the time, over the end of the leader.
    for name, page in (("leader", leader), ("other", other)):
        page.evaluate(
            """(name) => void (async () => {
              window.written = 0;
              for (let index = 0; index < 400; index += 1) {
                await todo.put(`${name}${index}`, {index});
                window.written = index + 1;
              }
            })()""",
            name,
        )
    leader.wait_for_function("written > 20")
    written = leader.evaluate("written")
    end(browser, leader)

    other.wait_for_function("replica.status.tab === 'leader'", timeout=FAILOVER_MS)
    other.wait_for_function("written === 400")
    other.evaluate("replica.link.waitLive(20000)")
    if end is hang:
        # It comes back and goes on writing, as a follower: what it wrote has to have arrived.
        leader.wait_for_function("written === 400")
        leader.evaluate("replica.link.waitLive(20000)")

    held = records(daemon)
    assert {f"other{index}" for index in range(400)} <= set(held)
    assert {f"leader{index}" for index in range(written)} <= set(held)
    assert len(held) == head(daemon)


def test_leader_that_thaws_steps_down_and_goes_on_as_a_follower(
    browser, open_page, daemon, records
):
    pages = live_tabs(browser, open_page, 2)
    (leader,) = leaders(pages)
    (other,) = [page for page in pages if page is not leader]
    leader.evaluate(
        "setTimeout(() => { const end = Date.now() + 6000; while (Date.now() < end); })"
    )
    other.wait_for_function("replica.status.tab === 'leader'")

    leader.wait_for_function("replica.status.tab === 'follower'")
    leader.evaluate("todo.put('1', {title: 'milk'}).then(() => replica.link.waitLive(20000))")

    assert {"1"} == set(records(daemon))
    assert [other] == leaders(pages)


def test_barrier_that_was_asked_of_a_tab_that_ends_is_answered_by_the_next(
    browser, open_page, daemon
):
    pages = live_tabs(browser, open_page, 2)
    (leader,) = leaders(pages)
    (other,) = [page for page in pages if page is not leader]
    daemon.end()
    other.evaluate("void (window.answered = replica.barrier(30000).then(() => 'answered'))")

    leader.close()
    daemon.start()

    assert "answered" == other.evaluate("answered")


def test_pause_of_any_tab_cuts_the_link_of_all(browser, open_page, daemon, records):
    pages = live_tabs(browser, open_page, 2)
    (leader,) = leaders(pages)
    (other,) = [page for page in pages if page is not leader]

    other.evaluate("replica.link.pause()")
    leader.evaluate("todo.put('1', {})")
    assert ["offline", {}] == [leader.evaluate("replica.status.state"), records(daemon)]

    other.evaluate("replica.link.resume().then(() => replica.link.waitLive(20000))")
    assert {"1"} == set(records(daemon))


def test_write_of_a_tab_that_dies_before_it_says_so_is_looked_for(
    browser, open_page, daemon, records
):
    pages = live_tabs(browser, open_page, 2)
    (leader,) = leaders(pages)
    (other,) = [page for page in pages if page is not leader]
    leader.evaluate(
        "void (window.told = new Promise((resolve) => replica.core.observers.listen(resolve)))"
    )
    other.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
    other.evaluate("todo.put('1', {})")
    other.close()

    leader.evaluate("told")
    leader.evaluate("replica.link.waitLive(20000)")
    assert {"1"} == set(records(daemon))


def test_live_query_of_one_tab_sees_what_another_drops_without_a_tombstone(
    browser, open_page, daemon
):
    pages = live_tabs(browser, open_page, 2)
    (leader,) = leaders(pages)
    (other,) = [page for page in pages if page is not leader]
    leader.evaluate("todo.put('1', {})")
    other.evaluate("replica.barrier(20000)")
    other.evaluate(
        """() => {
          const shown = Promise.withResolvers();
          window.emptied = shown.promise;
          return todo.subscribe((rows) => rows.length || shown.resolve());
        }"""
    )
    leader.evaluate(
        """replica.core.writer.run((tx) => {
          tx.remove(tx.entriesIn(["todo"]).map((entry) => entry.update.key));
        })"""
    )

    other.evaluate("emptied")


def test_a_tab_that_closes_its_replica_has_its_writes_sent_first(
    browser, open_page, daemon, records
):
    pages = live_tabs(browser, open_page, 2)
    pages.sort(key=lambda page: page.evaluate("replica.status.tab"))

    # The follower first, which asks the leader; then the leader, when no other tab is left.
    left = [
        page.evaluate("(id) => todo.put(id, {}).then(() => replica.close())", page_id)
        for page_id, page in zip("12", pages, strict=True)
    ]

    assert [0, 0] == left
    assert {"1", "2"} == set(records(daemon))


def test_a_tab_that_has_just_opened_has_its_writes_sent_first(browser, open_page, daemon, records):
    page = open_page(browser, live=False)

    left = page.evaluate("todo.put('1', {}).then(() => replica.close())")

    assert 0 == left
    assert {"1"} == set(records(daemon))


def test_flush_of_any_tab_waits_until_the_leader_has_sent(browser, open_page, daemon, records):
    pages = live_tabs(browser, open_page, 2)

    for index, page in enumerate(pages):
        page.evaluate("(id) => todo.put(id, {}).then(() => replica.flush(20000))", str(index))

    assert {"0", "1"} == set(records(daemon))


def test_a_tab_that_is_offline_does_not_wait_and_keeps_what_it_wrote(
    browser, open_page, daemon, records
):
    page = open_page(browser)
    page.evaluate("replica.pause()")

    left = page.evaluate("todo.put('1', {}).then(() => replica.close({ timeoutMs: 3600000 }))")
    open_page(browser, page=page)

    assert 1 == left
    assert {"1"} == set(records(daemon))
