import pytest

from syncline.merge import merge


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "data", "collisions"),
    [
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, (), id="only ours changed"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, (), id="only theirs changed"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, (), id="both changed alike"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, ("a",), id="collision prefers ours"),
        pytest.param(
            {"a": 1, "b": 1},
            {"a": 2, "b": 1},
            {"a": 1, "b": 2},
            {"a": 2, "b": 2},
            (),
            id="different fields",
        ),
        pytest.param({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2}, (), id="removal"),
        pytest.param({"a": 1}, {}, {"a": 2}, {}, ("a",), id="removal collides with a change"),
        pytest.param(
            {"o": {"x": 1, "y": 1}},
            {"o": {"x": 2, "y": 1}},
            {"o": {"x": 1, "y": 2}},
            {"o": {"x": 2, "y": 2}},
            (),
            id="objects within",
        ),
        pytest.param(
            {"o": {"x": 1}},
            {"o": {"x": 2}},
            {"o": {"x": 3}},
            {"o": {"x": 2}},
            ("o.x",),
            id="a collision within is named by its path",
        ),
        pytest.param(
            None,
            {"a": 1, "b": 1},
            {"a": 1, "b": 2},
            {"a": 1, "b": 1},
            ("b",),
            id="no base: what differs collides",
        ),
    ],
)
def test_fields_merge_over_the_base(base, ours, theirs, data, collisions):
    assert (data, collisions) == merge(base, ours, theirs)


def test_collision_takes_theirs_when_told():
    assert ({"a": 3}, ("a",)) == merge({"a": 1}, {"a": 2}, {"a": 3}, prefer="theirs")


def test_merge_is_symmetric_but_for_the_preference():
    base, one, other = {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 5}, {"a": 1, "b": 3, "c": 6}

    assert merge(base, one, other, prefer="ours") == merge(base, other, one, prefer="theirs")
