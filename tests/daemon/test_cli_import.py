"""`syncline import` and `export`: what one writes, the other reads as it was."""

import json

import pytest


@pytest.fixture(params=["store", "daemon"])
def target(request, serve):
    return "todos.db" if request.param == "store" else serve().url


def found(cli, target, model="todo"):
    return json.loads(cli("find", target, model, "--json").stdout)


RECORDS = [
    {"id": "1", "title": 'milk, and\n"bread"', "n": 1.5, "done": True},
    {"id": "2", "title": "5", "tags": ["a", {"b": None}], "empty": ""},
    {"id": "007", "title": None, "word": "null", "é": "😀"},
    {"id": "x", "spaced": " 1", "quoted": '"q"', "true": "true"},
]


@pytest.mark.parametrize("kind", ["json", "ndjson", "csv"])
def test_what_is_exported_is_imported_as_it_was(cli, target, tmp_path, kind):
    (tmp_path / "given.json").write_text(json.dumps(RECORDS))
    loaded = cli("import", target, "todo", "given.json").stdout
    cli("export", target, "todo", f"dump.{kind}")
    cli("import", "copy.db", "todo", f"dump.{kind}")

    assert "4 records: 4 new, 0 changed, 0 as they were" in loaded
    assert sorted(RECORDS, key=lambda r: r["id"]) == found(cli, target) == found(cli, "copy.db")


def test_what_find_printed_is_loaded_from_standard_input(cli, target):
    cli("put", "a.db", "todo", "1", "title=milk")
    dump = cli("find", "a.db", "todo", "--json").stdout

    cli("import", target, "todo", "-", stdin=dump)

    assert [{"id": "1", "title": "milk"}] == found(cli, target)
    lines = cli("export", target, "todo").stdout
    assert [{"id": "1", "title": "milk"}] == [json.loads(line) for line in lines.splitlines()]


def test_a_file_is_loaded_again_and_only_what_is_other_changes(cli, target, tmp_path):
    cli("put", target, "todo", "1", "n=1")
    cli("put", target, "todo", "2", "n=2")
    cli("put", target, "todo", "gone", "n=3")
    cli("delete", target, "todo", "gone")
    lines = [{"id": "1", "n": 1}, {"id": "2", "n": 3}, {"id": "gone", "n": 4}, {"id": 5, "n": 5}]
    (tmp_path / "todos.jsonl").write_text("\n".join(map(json.dumps, lines)))

    dry = json.loads(cli("import", target, "todo", "todos.jsonl", "--dry-run", "--json").stdout)
    before = found(cli, target)
    done = json.loads(cli("import", target, "todo", "todos.jsonl", "--json").stdout)
    again = json.loads(cli("import", target, "todo", "todos.jsonl", "--json").stdout)

    counts = {"read": 4, "new": 2, "changed": 1, "same": 1, "refused": []}
    assert [{"id": "1", "n": 1}, {"id": "2", "n": 2}] == before
    assert ({"dry_run": True, **counts}, {"dry_run": False, **counts}) == (dry, done)
    assert 4 == again["same"]
    assert lines == sorted(found(cli, target), key=lambda record: record["n"])


def test_a_file_of_many_parts_is_loaded_whole(cli, target, tmp_path):
    many = [{"id": f"{n:04}", "n": n} for n in range(1203)]
    (tmp_path / "many.json").write_text(json.dumps(many))

    cli("import", target, "todo", "many.json", "--quiet")

    assert many == found(cli, target)


def test_cells_of_csv_are_read_as_put_reads_them_or_as_texts(cli, tmp_path):
    (tmp_path / "todos.csv").write_bytes(
        b'\xef\xbb\xbfnumber,title,n,done,list\r\n007,"milk, 1l",3,true,"[1, 2]"\r\n8,,,,\r\n'
    )
    cli("import", "a.db", "todo", "todos.csv", "--id", "number")
    cli("import", "b.db", "todo", "todos.csv", "--id", "number", "--text")

    first = {"number": "007", "title": "milk, 1l", "n": 3, "done": True, "list": [1, 2]}
    assert [{"id": "007", **first}, {"id": "8", "number": "8"}] == found(cli, "a.db")
    texts = {"number": "007", "title": "milk, 1l", "n": "3", "done": "true", "list": "[1, 2]"}
    assert {"id": "007", **texts} == found(cli, "b.db")[0]


def test_a_declared_model_says_which_property_has_the_id_and_what_is_a_record(cli, tmp_path):
    (tmp_path / "s.toml").write_text(
        '[models.car]\nid_name = "number"\nid_kind = "integer"\nproperties.maker = "string"\n'
    )
    config = ["--config", "s.toml"]
    (tmp_path / "cars.csv").write_text("number,maker\n7,Ford\n8,BMW\n")
    (tmp_path / "wrong.csv").write_text("number,maker\n9,VW\n10,5\nx,VW\n")
    cli("import", "cars.db", "car", "cars.csv", *config)
    for dry in ([], ["--dry-run"]):
        wrong = cli("import", "cars.db", "car", "wrong.csv", *config, *dry, code=1).stderr
        assert "line 3: car.maker" in wrong
        assert "line 4: car has integer ids" in wrong

    cars = json.loads(cli("find", "cars.db", "car", "--json", *config).stdout)
    assert [{"number": 7, "maker": "Ford"}, {"number": 8, "maker": "BMW"}] == cars


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("a.json", '{"id": "1"}', "no JSON array", id="an object for an array"),
        pytest.param("a.json", '[{"id": "1"}, 5]', "record 2: this is no JSON object", id="a 5"),
        pytest.param("a.ndjson", '{"id": "1"}\n\n{bad\n', "line 3: this is no JSON", id="bad line"),
        pytest.param("a.ndjson", '{"id":"1"}\n{"n":1}\n', "line 2: it has no 'id'", id="no id"),
        pytest.param(
            "a.ndjson", '{"id":"7"}\n{"id":7}\n', "the id '7' is that of line 1 too", id="twice"
        ),
        pytest.param("a.csv", "id,id\n1,2\n", "line 1: this is no header", id="a header"),
        pytest.param("a.csv", "id,n\n1,2,3\n", "line 2: it has 3 cells", id="too many cells"),
        pytest.param("a.csv", 'id,n\n1,"x', "this is no CSV", id="an open quote"),
        pytest.param("a.json", '[{"id": "1", "n": 1e999}]', "number is infinity", id="a number"),
    ],
)
def test_a_file_with_a_mistake_stores_nothing_and_names_the_place(
    cli, tmp_path, name, content, said
):
    (tmp_path / name).write_text(content)

    error = cli("import", "a.db", "todo", name, code=1).stderr

    assert said in error
    assert "nothing was stored" in error
    assert not (tmp_path / "a.db").exists()


def test_records_without_an_id_get_one_when_asked(cli, tmp_path):
    (tmp_path / "a.ndjson").write_text('{"n": 1}\n{"n": 2}\n')

    cli("import", "a.db", "todo", "a.ndjson", "--new-ids")

    assert [1, 2] == sorted(record["n"] for record in found(cli, "a.db"))


def test_a_format_that_can_not_be_told_is_asked_for(cli, tmp_path):
    (tmp_path / "dump").write_text("id,n\n1,2\n")

    assert "--format" in cli("import", "a.db", "todo", "dump", code=2).stderr
    cli("import", "a.db", "todo", "dump", "--format", "csv")

    assert [{"id": "1", "n": 2}] == found(cli, "a.db")


def test_what_the_daemon_refuses_is_named_by_its_place(cli, serve, tmp_path):
    (tmp_path / "rules.py").write_text(
        "from syncline import Hooks, Refuse\n\n"
        "def validate(principal, before, after):\n"
        "    if after['n'] == 2:\n        raise Refuse('no two')\n\n"
        "hooks = Hooks(validate={'todo': validate})\n"
    )
    url = serve("memory:", "--hooks", "rules.py", "--model", "todo", cwd=tmp_path).url
    (tmp_path / "a.ndjson").write_text('{"id":"1","n":1}\n{"id":"2","n":2}\n')

    done = cli("import", url, "todo", "a.ndjson", code=1)

    assert "line 2: no two" in done.stderr
    assert "1 records: 1 new" in done.stdout
    assert [{"id": "1", "n": 1}] == found(cli, url)


def test_an_import_without_the_right_is_exit_code_5(cli, serve, tmp_path):
    made = json.loads(cli("token", "reader", "--right", "todo=read", "--json").stdout)
    (tmp_path / "s.toml").write_text(
        f'schemaless = ["todo"]\n[[tokens]]\nname = "reader"\nsha256 = "{made["sha256"]}"\n'
        'rights = { todo = "read" }\n'
    )
    url = serve("memory:", "--config", str(tmp_path / "s.toml")).url
    (tmp_path / "a.ndjson").write_text('{"id":"1"}\n')

    cli("import", url, "todo", "a.ndjson", "--token", made["token"], code=5)


def test_an_export_that_fails_leaves_the_file_of_before(cli, tmp_path):
    cli("put", "a.db", "todo", "1", "n=1")
    (tmp_path / "dump.json").write_text("before")

    cli("export", "a.db", "todo", "nowhere/dump.json", code=1)
    cli("export", "none.db", "todo", "dump.json", code=2)

    assert "before" == (tmp_path / "dump.json").read_text()
    cli("export", "a.db", "todo", "dump.json")
    assert [{"id": "1", "n": 1}] == json.loads((tmp_path / "dump.json").read_text())
    assert {"a.db", "dump.json"} <= {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob("*.partial"))


def test_an_export_takes_a_filter_and_an_order(cli, target, tmp_path):
    for n in (1, 2, 3):
        cli("put", target, "todo", n, f"n={n}")

    shown = cli(
        "export",
        target,
        "todo",
        "--format",
        "csv",
        "--where",
        '{"n": {"gt": 1}}',
        "--order",
        "n DESC",
    ).stdout

    assert "id,n\n3,3\n2,2\n" == shown
