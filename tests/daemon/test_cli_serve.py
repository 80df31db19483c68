"""`syncline serve`: one daemon a database."""

import signal


def test_a_second_daemon_on_a_database_is_refused_and_the_first_goes_on(
    serve, start, syncline, tmp_path
):
    store = tmp_path / "served.db"
    first = serve(store)
    second = start("serve", "--port", "0", "--store", str(store))
    second.wait_for("another process serves this database already", second.err)
    second.wait_for("hint: have clients and other programs use that daemon", second.err)

    assert 1 == second.wait()
    syncline("put", first.url, "todo", "1", "n=1")
    assert '"n":1' in syncline("get", first.url, "todo", "1", "--json").stdout.replace(" ", "")


def test_a_daemon_that_was_killed_leaves_its_database_free(serve, tmp_path):
    store = tmp_path / "served.db"
    serve(store).end(signal.SIGKILL)

    assert serve(store).url
