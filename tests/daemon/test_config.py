import dataclasses
import re

import pytest

from syncline.errors import ConfigError
from synclined.config import explain, load_settings
from synclined.config_example import example_toml
from synclined.settings import (
    Limits,
    Listen,
    ListSettings,
    Settings,
    StoreSettings,
    Timings,
    is_loopback,
)


SHA256 = "ab" * 32
TOKEN = f"""
[[tokens]]
name = "phone"
sha256 = "{SHA256}"
rights = {{ "*" = "read", todo = "write" }}
"""


@pytest.fixture
def written(tmp_path):
    """Write a settings file; returns its path."""

    def write(text):
        path = tmp_path / "synclined.toml"
        path.write_text(text)
        return path

    return write


def problems_of(path=None, env=None, flags=None):
    """Return the lines of what is wrong, without the heading."""
    with pytest.raises(ConfigError) as refused:
        load_settings(path, env or {}, flags or {})
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


class TestDefaults:
    def test_without_anything_the_daemon_serves_loopback_openly(self):
        assert Settings(open_models=True) == load_settings()

    def test_defaults_are_as_documented(self):
        settings = Settings()

        assert Listen(host="127.0.0.1", port=8765) == settings.listen
        assert StoreSettings(url="sqlite:///syncline.db", synchronous="normal") == settings.store
        assert (1 << 20, 8 << 20, 512 << 10, 4 << 20, 5000) == (
            settings.limits.record_bytes_max,
            settings.limits.message_bytes_max,
            settings.limits.page_bytes_max,
            settings.limits.window_bytes_max,
            settings.limits.push_items_max,
        )
        assert Timings(heartbeat_s=10, drain_timeout_s=10, send_timeout_s=20) == settings.timings
        assert (64, False, ("same",)) == (
            settings.ancestors_max,
            settings.compression,
            settings.origins,
        )

    def test_with_a_file_undeclared_models_are_refused(self, written):
        assert not load_settings(written("")).open_models

    def test_open_models_may_be_asked_for(self, written):
        assert load_settings(written("open_models = true")).open_models
        assert not load_settings(None, {"SYNCLINE_OPEN_MODELS": "false"}).open_models

    def test_settings_are_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Settings().compression = True


class TestPrecedence:
    def test_file_then_environment_then_flag(self, written):
        path = written("[listen]\nport = 1\n[log]\nlevel = 'error'\n[timings]\npoll_s = 3\n")
        env = {"SYNCLINE_LISTEN__PORT": "2", "SYNCLINE_LOG__LEVEL": "debug", "HOME": "/root"}

        settings = load_settings(path, env, {"listen.port": 3, "listen.host": None})

        assert (3, "debug", 3.0) == (
            settings.listen.port,
            settings.log.level,
            settings.timings.poll_s,
        )

    def test_explain_says_where_each_came_from(self, written):
        path = written("[listen]\n# comment\nport = 1\n[timings]\npoll_s = 3\n")
        env = {"SYNCLINE_LOG__LEVEL": "debug"}

        told = explain(load_settings(path, env, {"listen.port": "3"}))

        assert (3, "flag") == told["listen.port"]
        assert ("debug", "SYNCLINE_LOG__LEVEL") == told["log.level"]
        assert (3.0, f"{path}:5") == told["timings.poll_s"]
        assert ("127.0.0.1", "default") == told["listen.host"]

    def test_what_is_overruled_need_not_be_right(self, written):
        path = written("[listen]\nport = 'http'\n")

        assert 80 == load_settings(path, {"SYNCLINE_LISTEN__PORT": "80"}).listen.port

    def test_lists_in_the_environment_are_separated_by_commas(self):
        settings = load_settings(None, {"SYNCLINE_SCHEMALESS": "todo, note"})

        assert ("todo", "note") == settings.schemaless
        assert ["note", "todo"] == [model.name for model in settings.models]

    def test_variables_of_others_are_left_alone(self):
        env = {"SYNCLINE_TOKEN": "x", "SYNCLINE_FAILPOINT": "commit:kill:1", "PATH": "/bin"}

        assert load_settings() == load_settings(None, env)


class TestProblems:
    def test_all_are_told_at_once_with_key_and_place(self, written):
        path = written(
            "compresion = true\n"
            "[listen]\nport = 70000\n"
            "[server]\nhost = 'x'\n"
            "[limits]\nrecord_bytes_max = '1 MB'\n"
        )
        env = {"SYNCLINE_LOG__LEVEL": "loud", "SYNCLINE_LISTEN__PRT": "1"}

        assert [
            f"compresion: there is no such setting; did you mean compression? (from {path}:1)",
            f"listen.port: must be at most 65535, not 70000 (from {path}:3)",
            f"server.host: there is no such setting; did you mean listen.host? (from {path}:5)",
            f'limits.record_bytes_max: must be a whole number, not "1 MB" (from {path}:7)',
            (
                "SYNCLINE_LISTEN__PRT: there is no such setting; "
                "did you mean SYNCLINE_LISTEN__PORT? (from environment)"
            ),
            (
                'log.level: must be one of debug, info, warning, error, not "loud" '
                "(from SYNCLINE_LOG__LEVEL)"
            ),
        ] == problems_of(path, env)

    @pytest.mark.parametrize(
        ("key", "value", "what"),
        [
            ("listen.port", True, "must be a whole number, not true"),
            ("listen.port", 80.5, "must be a whole number, not 80.5"),
            ("listen.port", -1, "must be at least 0, not -1"),
            ("listen.host", " ", 'must name an address; "0.0.0.0" stands for all'),
            ("listen.host", 7, "must be a text, not 7"),
            ("timings.poll_s", "nan", "must be at least 0.05 seconds, not nan"),
            ("timings.poll_s", "inf", "must be at most 3600 seconds, not inf"),
            ("timings.poll_s", "soon", 'must be a number, not "soon"'),
            ("compression", "maybe", 'must be true or false, not "maybe"'),
            ("compression", 1, "must be true or false, not 1"),
            ("store.url", "postgresql://x", "must be memory:, a path or sqlite:///path/to/file"),
            ("store.synchronous", "off", 'must be one of normal, full, not "off"'),
            ("schemaless", [1], "must be a list of texts, not [1]"),
            (
                "hooks",
                ["rules"],
                '"rules" must be "module:function", "file.py" or "file.py:function"',
            ),
            ("xyzzy", 1, "there is no such setting"),
            ("listen", 1, "must be a table, written [listen]"),
            ("models", 1, "can be set in the file only"),
        ],
    )
    def test_value_that_is_none(self, key, value, what):
        assert [f"{key}: {what} (from flag)"] == problems_of(flags={key: value})

    @pytest.mark.parametrize("origin", ["app.example", "https://app.example/page", "ftp://x", ""])
    def test_what_is_no_origin(self, origin):
        (problem,) = problems_of(flags={"origins": [origin]})

        assert problem.startswith(f'origins: "{origin}" is none of')

    def test_limits_are_checked_against_each_other(self):
        (problem,) = problems_of(
            flags={"limits.message_bytes_max": 100_000, "limits.page_bytes_max": 65536}
        )

        assert (
            "limits.record_bytes_max: must not exceed limits.message_bytes_max, 100000 "
            "(from default)"
        ) == problem

    def test_file_that_is_not_there(self, tmp_path):
        path = tmp_path / "nowhere.toml"

        assert [f"{path}: No such file or directory"] == problems_of(path)

    def test_file_that_is_no_toml_tells_the_line(self, written):
        (problem,) = problems_of(written("[listen\n"))

        assert "line 1" in problem

    def test_file_that_is_no_text(self, tmp_path):
        path = tmp_path / "binary.toml"
        path.write_bytes(b"\xff\xfe")

        assert "codec" in problems_of(path)[0]


class TestSafety:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
    def test_open_address_is_refused_without_a_token(self, host):
        with pytest.raises(ConfigError) as refused:
            load_settings(flags={"listen.host": host})

        assert f"listen.host: {host} is reached from outside" in str(refused.value)
        assert "[[tokens]]" in refused.value.hint

    def test_open_address_is_accepted_with_a_token(self, written):
        settings = load_settings(written(TOKEN), flags={"listen.host": "0.0.0.0"})

        assert "0.0.0.0" == settings.listen.host

    def test_all_origins_are_refused_without_a_token(self, written):
        assert problems_of(flags={"origins": "*"})[0].startswith('origins: "*" lets in every page')
        assert ("*",) == load_settings(written('origins = ["*"]' + TOKEN)).origins

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("127.0.0.1", True),
            ("127.255.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("127.0.0.1.example", False),
            ("", False),
        ],
    )
    def test_is_loopback(self, host, expected):
        assert expected is is_loopback(host)


class TestTokens:
    def test_token_is_read(self, written):
        (token,) = load_settings(written(TOKEN)).tokens

        assert ("phone", SHA256) == (token.name, token.sha256)
        assert {"*": "read", "todo": "write"} == dict(token.rights)

    def test_hash_is_never_shown(self, written):
        settings = load_settings(written(TOKEN))

        assert SHA256 not in repr(settings)
        assert SHA256 not in repr(explain(settings))
        assert "***" == explain(settings)["tokens.phone"][0]["sha256"]

    def test_token_itself_in_the_hash_s_place_is_not_shown(self, written):
        path = written('[[tokens]]\nname = "a"\nsha256 = "hunter2"\nrights = { "*" = "read" }\n')

        (problem,) = problems_of(path)

        assert "hunter2" not in problem
        assert "tokens.1: sha256 must be the 64 hexadecimal digits" in problem

    def test_everything_wrong_with_tokens_is_told(self, written):
        path = written(
            "[[tokens]]\nnmae = 'x'\nrights = { todo = 'all' }\n" + TOKEN + TOKEN + "[[tokens]]\n"
        )

        assert [
            "tokens.1: unknown key nmae",
            "tokens.1: name must be a text",
            "tokens.1: sha256 must be the 64 hexadecimal digits of the token's hash",
            "tokens.1: rights.todo must be one of none, read, replicate, write",
            "tokens.3: the name phone is taken",
            "tokens.4: name must be a text",
            "tokens.4: sha256 must be the 64 hexadecimal digits of the token's hash",
            'tokens.4: rights must be a table such as { "*" = "read", todo = "write" }',
        ] == [problem.rpartition(" (from ")[0] for problem in problems_of(path)]

    def test_tokens_can_only_be_tables_of_the_file(self, written):
        assert "[[tokens]]" in problems_of(written("tokens = 'secret'"))[0]
        assert ["SYNCLINE_TOKENS: can be set in the file only (from environment)"] == problems_of(
            env={"SYNCLINE_TOKENS": "secret"}
        )

    def test_password_in_the_store_s_address_is_not_shown(self):
        settings = Settings(store=StoreSettings(url="sqlite://me:secret@/file.db"))

        assert "sqlite://me:***@/file.db" == explain(settings)["store.url"][0]


class TestModels:
    def test_models_come_from_tables_and_from_the_list(self, written):
        path = written(
            "schemaless = ['note']\n"
            "[models.todo]\n"
            "[models.task.properties]\ntitle = { type = 'string', nullable = false }\n"
        )

        settings = load_settings(path)

        assert ["note", "task", "todo"] == [model.name for model in settings.models]
        assert [0, 1, 0] == [len(model.properties) for model in settings.models]
        assert f"{path}:2" == explain(settings)["models.todo"][1]

    def test_model_that_is_declared_twice_is_refused(self, written):
        path = written("schemaless = ['todo']\n[models.todo]\n")

        assert [f"models.todo: the model todo is declared twice (from {path}:2)"] == problems_of(
            path
        )

    def test_what_is_wrong_with_a_model_is_told_with_the_rest(self, written):
        path = written("[models.todo]\nstirct = true\n[listen]\nport = -1\n")

        model, port = sorted(problems_of(path), reverse=True)

        assert model.startswith("models.todo.stirct")
        assert model.endswith(f"(from {path}:1)")
        assert port.startswith("listen.port")

    @pytest.mark.parametrize("text", ["[models]\ntodo = 3\n", "[[models]]\nname = 'todo'\n"])
    def test_model_that_is_no_table(self, written, text):
        assert problems_of(written(text))[0].startswith("models")


class TestExample:
    def test_every_setting_is_in_it_with_its_variable(self):
        example = example_toml()
        variables = set(re.findall(r"\((SYNCLINE_\w+)\)", example))

        assert {key.upper().replace(".", "__") for key in explain(Settings())} == {
            name.removeprefix("SYNCLINE_") for name in variables
        }

    def test_each_number_has_its_bounds(self):
        sections = (Limits, Timings, ListSettings)
        numbers = sum(len(dataclasses.fields(section)) for section in sections) + 2

        assert numbers == len(re.findall(r"From [\d.]+\s+(?:# )?to", example_toml()))

    def test_its_lines_fit_a_terminal(self):
        assert max(map(len, example_toml().splitlines())) <= 100
