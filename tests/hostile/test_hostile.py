"""The short version of `make hostile`: files, headers, quotes and encodings; and the judge."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostile.__main__ import score
from tests.hostile.corpus import CASES
from tests.hostile.judge import RIGHT, SILENT, UNCLEAR, Answer, judge

OF_READING = ("quotes", "header", "delimiter", "encoding", "file")
SHORT = [case for case in CASES if case.kind in OF_READING][::3]


@pytest.mark.parametrize("case", SHORT, ids=lambda case: f"{case.kind}: {case.name}")
def test_a_hostile_file_is_answered_right(case, tmp_path: Path):
    verdict = judge(case, tmp_path)
    assert (verdict.verdict, verdict.why) == (RIGHT, verdict.why)


def test_the_corpus_has_a_hundred_tables_and_names_each_once():
    names = Counter((case.kind, case.name) for case in CASES)
    assert len(CASES) >= 100
    assert set(names.values()) == {1}


def test_the_judge_tells_right_from_unclear_and_from_silently_wrong(tmp_path: Path):
    plain = next(case for case in CASES if (case.kind, case.name) == ("header", "plain"))
    title = next(case for case in CASES if (case.kind, case.name) == ("header", "a title"))
    verdicts = [
        judge(replace(case, answer=answer), tmp_path)
        for case, answer in [
            (plain, Answer(rows=300, kinds={"age": "numeric"})),
            (plain, Answer(refused=("row-width",))),
            (plain, Answer(rows=299)),
            (plain, Answer(values={"age": (0, -1.0)})),
            (title, Answer(rows=299)),
            (title, Answer(quiet=("lines-above-header",))),
        ]
    ]
    assert [v.verdict for v in verdicts] == [RIGHT, SILENT, SILENT, SILENT, UNCLEAR, UNCLEAR]
    assert score(verdicts).split("\n")[2:4] == [
        "| header | 6 | 1 | 2 | 3 |",
        "| all | 6 | 1 | 2 | 3 |",
    ]
