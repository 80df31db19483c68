"""Tabs share a store, and one link, only with tabs that were opened for the same."""

import base64
import json

import pytest


OPEN = """async ([url, options]) => {
  syncline.setLogger(() => {});
  try {
    const given = {models: ["todo"], store: "indexeddb:todos", ...options};
    window.replica = await syncline.connect(url, given);
  } catch (error) {
    return {code: error.code, message: error.message, hint: error.hint};
  }
  return null;
}"""
PUT = """([model, id]) => replica.model(model).put(id, {})
  .then(() => replica.link.waitLive(20000))"""


@pytest.fixture
def open_tab(browser, site):
    """Open a tab; return it, and with what `connect` refused."""

    def open_it(daemon, token=None, page=None, **options):
        page = page or browser.new_page()
        page.goto(site)
        given = options if token is None else {**options, "token": token}
        return page, page.evaluate(OPEN, [daemon.url, given])

    return open_it


def test_a_tab_for_another_daemon_is_refused_and_touches_nothing(
    open_tab, daemon, new_daemon, site, records
):
    other = new_daemon([site])
    first, refused = open_tab(daemon)
    first.evaluate(PUT, ["todo", "of the first"])
    assert refused is None

    second, refused = open_tab(other)

    assert "config_invalid" == refused["code"]
    assert daemon.url in refused["message"]
    assert "indexeddb:NAME" in refused["hint"]
    assert {} == records(other)

    second, refused = open_tab(other, store="indexeddb:others", page=second)
    second.evaluate(PUT, ["todo", "of the second"])
    assert refused is None
    assert {"of the first"} == set(records(daemon))
    assert {"of the second"} == set(records(other))


def test_a_store_is_free_again_when_the_tab_that_had_it_is_closed(
    open_tab, daemon, new_daemon, site
):
    first, _ = open_tab(daemon)
    first.close()

    _, refused = open_tab(new_daemon([site]))

    assert refused is None


def test_a_slash_at_the_end_of_the_address_is_no_other_daemon(open_tab, daemon):
    open_tab(daemon)

    class WithSlash:
        url = f"{daemon.url}/"

    _, refused = open_tab(WithSlash)

    assert refused is None


def web_token(subject, serial):
    parts = [{"alg": "HS256"}, {"iss": "us", "sub": subject, "jti": serial}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(part.rstrip("=") for part in encoded), "c2ln"])


ANN, BOB = "token of ann", "token of bob"
ANN_NOW, ANN_LATER, BOB_NOW = web_token("ann", 1), web_token("ann", 2), web_token("bob", 3)


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        pytest.param({"token": ANN}, {"token": ANN}, False, id="the same token"),
        pytest.param({"token": ANN}, {"token": BOB}, True, id="another token"),
        pytest.param({"token": ANN}, {}, True, id="no token"),
        pytest.param({"token": ANN_NOW}, {"token": ANN_LATER}, False, id="renewed web token"),
        pytest.param({"token": ANN_NOW}, {"token": BOB_NOW}, True, id="another's web token"),
        pytest.param(
            {"token": ANN, "identity": "ann"}, {"token": BOB, "identity": "ann"}, False, id="named"
        ),
        pytest.param(
            {"token": ANN, "identity": "ann"}, {"token": ANN, "identity": "bob"}, True, id="other"
        ),
    ],
)
def test_a_tab_with_another_persons_token_is_refused(open_tab, daemon, first, second, is_refused):
    open_tab(daemon, **first)

    _, refused = open_tab(daemon, **second)

    assert is_refused == (refused is not None)
    if is_refused:
        assert "token" in refused["message"]
        assert ANN not in json.dumps(refused)


@pytest.mark.parametrize("order", [("todo", "move"), ("move", "todo")], ids="-".join)
def test_tabs_that_follow_other_models_are_level_in_all_of_them(open_tab, daemon, records, order):
    pages = [open_tab(daemon, models=[model])[0] for model in order]

    for page, model in zip(pages, order, strict=True):
        page.evaluate(PUT, [model, "here"])
        assert {"here"} == set(records(daemon, model))

    # Whoever leads next follows both as well.
    for page, model in zip(pages, order, strict=True):
        page.evaluate(PUT, [model, "again"])
        assert {"here", "again"} == set(records(daemon, model))
    third, _ = open_tab(daemon, models=["todo", "move"])
    pages[0].close()
    third.evaluate(PUT, ["move", "after"])
    pages[1].evaluate(PUT, [order[1], "last"])

    assert {"after"} <= set(records(daemon, "move"))
    assert {"last"} <= set(records(daemon, order[1]))


def test_a_page_that_comes_back_to_a_store_that_is_anothers_now_stays_out(
    new_browser, site, daemon, new_daemon, records
):
    browser = new_browser(ignore_default_args=["--disable-back-forward-cache"])
    other = new_daemon([site])
    first = browser.new_page()
    first.goto(site)
    first.evaluate(OPEN, [daemon.url, {}])
    first.evaluate(PUT, ["todo", "of the first"])
    first.goto(f"{site}/other.html")
    second = browser.new_page()
    second.goto(site)
    assert second.evaluate(OPEN, [other.url, {}]) is None

    first.go_back(wait_until="commit")
    first.wait_for_function("window.replica && replica.status.state === 'blocked'")

    assert other.url in first.evaluate("replica.status.reason")
