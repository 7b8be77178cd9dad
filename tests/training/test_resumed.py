"""What a resumed run is told: each of table, scope and code that is not as the run noted it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from fivefold.data.reading.files import file_md5
from fivefold.data.revision import code_md5
from fivefold.training import resumed


@pytest.fixture
def source(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "flows").mkdir()
    for name in ("flows/train.py", "t.csv", "my.toml"):
        (tmp_path / name).write_text("a,b\n")
    return {
        "source": str(tmp_path / "t.csv"),
        "md5": file_md5(tmp_path / "t.csv"),
        "revision": {},
        "code_md5": code_md5(tmp_path),
        "scope": resumed.scope_facts(str(tmp_path / "my.toml")),
    }


def test_nothing_is_said_where_nothing_changed(tmp_path, source):
    assert resumed.changes(source, tmp_path) == []
    old = {"source": source["source"], "md5": source["md5"], "code": {"git_commit": "a"}}
    assert resumed.changes(old, tmp_path) == []
    assert resumed.changes({"source": "postgresql://h/d", "md5": "x"}, tmp_path) == []


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("t.csv", "the table .*t.csv has other content; this run goes on with the one that it has"),
        ("my.toml", "the scope .*my.toml; this run goes on with.*start again with `run`"),
        ("flows/train.py", "the code; finished steps are not done again"),
    ],
)
def test_each_change_is_said(tmp_path, source, name, match):
    (tmp_path / name).write_text("a,b\n1,2\n")
    (text,) = resumed.changes(source, tmp_path)
    assert re.match(match, text)


def test_a_table_that_is_gone_is_said(tmp_path, source):
    (tmp_path / "t.csv").unlink()
    (text,) = resumed.changes(source, tmp_path)
    assert "t.csv is gone; this run goes on with the one that it has read" in text


def test_the_steps_that_are_reused_are_said(tmp_path, source, monkeypatch):
    def step(name, successful):
        class Step(list):
            id = name

        return Step([SimpleNamespace(successful=successful)])

    (tmp_path / "t.csv").write_text("b\n")
    run = [step("tune", False), step("split", True), step("validate", True), step("start", True)]
    monkeypatch.setattr(resumed, "find_run", lambda run_id: run)
    monkeypatch.setattr(resumed, "read", lambda run, name: source)
    lines = resumed.resume_text("7", tmp_path).split("\n")
    assert lines[0] == "Reused from run 7, as they are: start, validate, split"
    assert lines[1].startswith("changed: the table")
    monkeypatch.setattr(resumed, "find_run", lambda run_id: [step("start", False)])
    assert "read as they are now" in resumed.resume_text("7", tmp_path)
