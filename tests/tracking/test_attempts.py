"""Which run a bare `resume` takes: the furthest of the newest chain, whatever was resumed last."""

from types import SimpleNamespace

import pytest

from fivefold.core.findings import Refused
from fivefold.tracking import attempts
from fivefold.tracking.attempts import Attempt, choose_origin, furthest, unfinished

SCRIPT = "flows/train.py"


def run(run_id, done, origin=None, successful=False, begun=True):
    """A run as the Metaflow client shows it; without a task it cannot name its origin."""

    class Run:
        id, origin_pathspec = run_id, f"TrainFlow/{origin}" if origin else None

        def __iter__(self):
            tasks = [SimpleNamespace(successful=number < done) for number in range(done + 1)]
            return iter([tasks])

        def __getitem__(self, step):
            return {"_parameters": SimpleNamespace(task=SimpleNamespace(successful=begun))}[step]

    made = Run()
    made.successful = successful
    return made


def known(monkeypatch, *runs):
    def named(pathspec):
        raise KeyError(pathspec)

    client = SimpleNamespace(namespace=lambda name: None, Flow=lambda name: list(runs), Run=named)
    monkeypatch.setitem(__import__("sys").modules, "metaflow", client)
    monkeypatch.setitem(
        __import__("sys").modules,
        "metaflow.exception",
        SimpleNamespace(MetaflowNotFound=KeyError, MetaflowInvalidPathspec=ValueError),
    )


def test_fail_resume_fail_keeps_what_the_resumed_run_has_rescued(monkeypatch):
    """`latest_run` names run 1 for ever; run 2 has its tasks and three more."""
    known(monkeypatch, run("1", 3), run("2", 6, origin="1"))
    origin, lines = choose_origin("TrainFlow", SCRIPT, None)
    assert origin == "2"
    assert lines == ["Resuming run 2: 6 tasks done"]
    known(monkeypatch, run("1", 3), run("2", 6, origin="1"), run("3", 1, origin="2"))
    assert choose_origin("TrainFlow", SCRIPT, None)[0] == "2"  # the third was killed early


def test_a_run_that_died_at_its_start_is_passed_over(monkeypatch):
    known(monkeypatch, run("1", 3), run("2", 0, begun=False))
    assert choose_origin("TrainFlow", SCRIPT, None)[0] == "1"


def test_a_run_that_was_killed_in_its_first_step_is_resumed(monkeypatch):
    known(monkeypatch, run("1", 9, successful=True), run("2", 0))
    assert choose_origin("TrainFlow", SCRIPT, None) == ("2", ["Resuming run 2: 0 tasks done"])


def test_the_order_is_that_of_the_ids_not_of_the_clock(monkeypatch):
    known(monkeypatch, run("9", 2), run("10", 2))
    origin, lines = choose_origin("TrainFlow", SCRIPT, None)
    assert origin == "10"
    assert lines[1] == "Other runs that have not ended (--origin-run-id): 9 (2 tasks done)"


def test_a_chain_that_has_ended_is_what_a_named_step_is_done_again_from(monkeypatch):
    known(monkeypatch, run("1", 9), run("2", 8, origin="1", successful=True))
    origin, lines = choose_origin("TrainFlow", SCRIPT, None)
    assert origin == "2"
    assert lines == ["Run 2 has ended well: only what you name is done again"]


@pytest.mark.parametrize(
    ("runs", "asked", "match"),
    [
        ((), None, r"found no run; to do: python flows/train.py run"),
        ((run("1", 0, begun=False),), None, "only runs that died at their very start"),
        ((run("1", 2),), "77", r"\[77\].*no such run.*resume one of these.*1 \(2 tasks done\)"),
        ((run("1", 0, begun=False), run("2", 3)), "1", r"\[1\].*died at its very start"),
    ],
)
def test_what_cannot_be_resumed_is_one_line_with_a_command(monkeypatch, runs, asked, match):
    known(monkeypatch, *runs)
    with pytest.raises(Refused, match=match):
        choose_origin("TrainFlow", SCRIPT, asked)


def test_a_named_run_is_taken_as_it_is(monkeypatch):
    known(monkeypatch, run("1", 3), run("2", 6, origin="1"))
    assert choose_origin("TrainFlow", SCRIPT, "1") == ("1", [])


def test_a_damaged_task_counts_as_not_done():
    class Damaged:
        @property
        def successful(self):
            raise OSError("cut blob")

    assert not attempts._is_done(Damaged())


def test_each_chain_is_listed_by_its_furthest_run():
    runs = [
        Attempt("4", "3", 1, False),
        Attempt("3", "3", 5, False),
        Attempt("2", "1", 9, True),
        Attempt("1", "1", 2, False),
    ]
    assert [one.run_id for one in unfinished(runs)] == ["3"]
    assert furthest(runs).run_id == "3"
    assert furthest([]) is None
