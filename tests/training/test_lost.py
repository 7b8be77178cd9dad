"""Lost searches: why, in plain words, and the command that repeats just them."""

from types import SimpleNamespace

import pytest

from fivefold.training.candidate import FailedSearch
from fivefold.training.closing import lost_lines, search_again
from fivefold.training.final_steps import NO_TIME, reason_of
from fivefold.training.leaderboard import Leaderboard, LeaderboardRow
from tests.support.training import candidate


def board():
    results = [
        candidate("xgboost"),
        FailedSearch("lightgbm", "out of memory"),
        FailedSearch("adaboost", NO_TIME, skipped=True),
    ]
    return Leaderboard(tuple(LeaderboardRow(result) for result in results))


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("builtins.MemoryError", "", "out of memory"),
        ("MemoryError", "Unable to allocate 3 GiB", "out of memory"),
        ("metaflow.TimeoutException", "Step tune timed out", "stopped at its limit of 12 hours"),
        ("OSError", "[Errno 28] No space left on device", "the disk is full"),
        ("ValueError", "C: expected above 0\nsecond line", "ValueError: C: expected above 0"),
        ("", "", "its process was killed"),
        ("", "Process exited with exit code -9", "its process was killed"),
    ],
)
def test_a_reason_is_in_plain_words(kind, text, expected):
    assert reason_of(SimpleNamespace(type=kind, exception=text)).startswith(expected)


def test_without_a_word_the_process_was_killed():
    assert reason_of(None).startswith("its process was killed")


def test_skipped_is_not_failed():
    assert [one.algorithm for one in board().lost] == ["lightgbm"]
    again = Leaderboard.from_dicts(board().to_dicts())
    assert [one.algorithm for one in again.lost] == ["lightgbm"]


def test_the_closing_words_name_the_lost_and_the_command():
    lines = lost_lines(board().to_dicts(), "17")
    assert lines == [
        "Lost: lightgbm: out of memory",
        f"To search what was lost: {search_again('17')} (finished trials are kept)",
    ]
    assert search_again("17") == "python flows/train.py resume tune --origin-run-id 17"
    assert lost_lines([candidate("xgboost").to_dict()], "17") == []
