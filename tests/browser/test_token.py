"""A page whose token is taken back, and which is given another one."""

import hashlib

import pytest

from syncline import blocking


QUICK = {"firstDelayS": 0.05, "delayCapS": 0.5}
TOKENS = """
schemaless = ["todo"]
[[tokens]]
name = "{name}"
sha256 = "{sha256}"
rights = {{ "*" = "write" }}
"""


@pytest.fixture
def let_in(tmp_path, monkeypatch):
    """Have the daemon know this token, and no other, from its next start."""
    settings = tmp_path / "synclined.toml"
    monkeypatch.setenv("SYNCLINE_CONFIG", str(settings))

    def know(token):
        sha256 = hashlib.sha256(token.encode()).hexdigest()
        settings.write_text(TOKENS.format(name=token, sha256=sha256))

    know("former")
    return know


@pytest.fixture
def daemon(let_in, new_daemon, site):
    return new_daemon([site])


def test_page_whose_token_was_taken_back_says_so_keeps_its_writes_and_goes_on_with_another(
    browser, site, daemon, let_in
):
    page = browser.new_page()
    page.goto(site)
    page.evaluate(
        """async ([url, settings]) => {
          window.token = "former";
          window.asked = [];
          const give = () => (asked.push(token), token);
          syncline.setLogger(() => {});
          window.replica = await syncline.connect(url, {models: ["todo"], token: give, settings});
          window.todo = replica.model("todo");
          await todo.put("1", {title: "milk"});
          await replica.link.waitLive(20000);
        }""",
        [daemon.url, QUICK],
    )
    daemon.end()
    let_in("latter")
    daemon.start()

    page.wait_for_function("replica.status.state === 'auth_required'")
    page.evaluate("todo.put('2', {title: 'bread'})")
    page.evaluate("todo.patch('1', {title: 'oat milk'})")
    assert ["auth_required", "unauthenticated", 2] == page.evaluate(
        "[replica.status.state, replica.status.reason, replica.status.pending]"
    )
    assert {"former"} == set(page.evaluate("asked"))

    page.evaluate("void (window.token = 'latter')")
    page.evaluate("replica.link.waitLive(20000)")

    assert "latter" == page.evaluate("asked.at(-1)")
    assert 0 == page.evaluate("replica.status.pending")
    assert {"1": "oat milk", "2": "bread"} == titles(daemon, "latter")


def titles(daemon, token):
    with blocking.connect(daemon.url, models=["todo"], token=token) as replica:
        replica.wait_live(20)
        return {record["id"]: record["title"] for record in replica.model("todo").find()}
