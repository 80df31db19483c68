"""What is delivered of that which comes in over a socket, and what is refused."""

import pytest

from synclined.intake import DROPPED, Intake, Refusal


class TestIntake:
    @pytest.mark.parametrize("message", ["2", "3", "5", "2probe", "3probe", "40", "42[]", "43[]"])
    def test_small_talk_passes(self, message):
        assert Intake(100).judge(message) is None

    def test_characters_are_measured_in_bytes(self):
        intake = Intake(100)

        assert intake.judge("42" + "a" * 98) is None
        assert Refusal(size=101) == intake.judge("42" + "a" * 99)
        assert Refusal(size=102) == intake.judge("42" + "é" * 50)

    @pytest.mark.parametrize(
        ("text", "answer_to"),
        [
            pytest.param('427["e"', "37", id="event"),
            pytest.param('42/admin,7["e"', "3/admin,7", id="namespace"),
            pytest.param('451-7["e"', "37", id="binary event"),
            pytest.param('42["e"', "", id="no acknowledgement asked for"),
            pytest.param('461-7["e"', "", id="an acknowledgement itself"),
            pytest.param("40", "", id="connect"),
        ],
    )
    def test_refusal_names_the_acknowledgement_that_was_asked_for(self, text, answer_to):
        refusal = Intake(100).judge(text + " " * 100)

        assert answer_to == refusal.answer_to

    def test_heartbeats_between_attachments_are_not_counted(self):
        intake = Intake(100)

        assert intake.judge('452-["e"]') is None
        assert intake.judge(b"1") is None
        assert intake.judge("3") is None
        assert intake.judge(b"2") is None
        assert DROPPED == intake.judge(b"3")

    def test_more_attachments_than_anyone_needs_are_refused(self):
        intake = Intake(100)

        assert Refusal(size=16, answer_to="31") == intake.judge('459999999-1["e"]')
        assert DROPPED == intake.judge(b"1")
