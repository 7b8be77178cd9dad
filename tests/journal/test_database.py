"""Journal: what is written stays, once and unchanged; on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import fivefold.data.reading.source  # noqa: F401  so that nothing is imported while a test has given up its rights
from fivefold.core.findings import Refused
from fivefold.journal import database as journals
from fivefold.journal import labels as journal_labels
from fivefold.journal.database import (
    HEAD,
    open_journal,
    purge,
    read_predictions,
    read_rejects,
    span,
    write,
)
from fivefold.journal.labels import Label
from fivefold.journal.tables import METADATA, PREDICTIONS, REJECTS
from fivefold.journal.writer import NotKept, Writer, empty, keep
from tests.support.databases import postgresql
from tests.support.running import ROOT

T0 = datetime(2026, 1, 1, 12, 0, 0, 123456)
NASTY = (
    "Zürich 東京 🙂",
    'O\'Brien "x" ; DROP TABLE predictions; --',
    "a\x00b",
    "half \ud83d pair",
    "line\u2028two\x85three\r\n",
    "",
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/j.db"
    server = str(request.getfixturevalue("server"))
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return server


@pytest.fixture
def journal(url: str) -> Iterator[sa.Engine]:
    engine = open_journal(url)
    yield engine
    engine.dispose()


@pytest.fixture
def hasty(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A journal whose writers have little patience."""
    monkeypatch.setattr(journals, "BUSY_SECONDS", 0.2)
    engine = open_journal(url)
    yield engine
    engine.dispose()


def line(n: int, **more: Any) -> dict[str, Any]:
    """A prediction at T0 + n seconds."""
    return {
        "id": str(uuid.UUID(int=n)),
        "at": T0 + timedelta(seconds=n),
        "problem": "p",
        "model": "TrainFlow/1",
        "sha256": "0" * 64,
        "source": "api",
        "inputs": '{"age":41,"plan":"basic"}',
        "entity": f'["{n}"]',
        "probability": 0.25,
        "decision": "will stay",
        "threshold": 0.5,
        "warnings": "",
        "latency_ms": 1.5,
        **more,
    }


def reject(n: int, **more: Any) -> dict[str, Any]:
    return {
        **{k: v for k, v in line(n).items() if k in REJECTS.c},
        "reason": "age: 'x' is not a number",
        **more,
    }


def ids(engine: sa.Engine, problem: str = "p") -> list[str]:
    return read_predictions(engine, problem, columns=("id",))["id"].tolist()


@contextlib.contextmanager
def locked(engine: sa.Engine) -> Iterator[None]:
    """Another connection keeps every writer out."""
    if engine.dialect.name == "sqlite":
        with contextlib.closing(
            sqlite3.connect(engine.url.database, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
    else:
        other = sa.create_engine(engine.url)
        with other.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE predictions, rejects IN ACCESS EXCLUSIVE MODE")
            yield
        other.dispose()


def at_once(n: int, task: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What n processes that start together bring back."""
    fork = multiprocessing.get_context("fork")
    gate, result = fork.Barrier(n), fork.SimpleQueue()

    def work(number: int) -> None:
        gate.wait()
        try:
            result.put(task(number, *arguments))
        except Exception as broken:
            result.put(repr(broken))

    processes = [fork.Process(target=work, args=(number,)) for number in range(n)]
    for process in processes:
        process.start()
    answers = [result.get() for _ in processes]
    for process in processes:
        process.join()
    return answers


@contextlib.contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """The folder can be read but not written; run as another user, since root may write."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others can read, which pytest's are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# Migrations


def config(connection: sa.Connection) -> Config:
    made = Config()
    made.set_main_option(
        "script_location", str(ROOT / "lib" / "fivefold" / "journal" / "migrations")
    )
    made.attributes["connection"] = connection
    return made


def test_an_empty_database_comes_to_what_the_tables_say(journal: sa.Engine, url: str) -> None:
    with journal.begin() as connection:
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True}), METADATA
            )
            == []
        )
        assert ScriptDirectory.from_config(config(connection)).get_heads() == [HEAD]
    write(journal, [line(1)])
    again = open_journal(url)
    assert ids(again) == [line(1)["id"]]
    again.dispose()


def test_downgrade_and_upgrade(journal: sa.Engine, url: str) -> None:
    with journals.writing(journal) as connection:
        command.downgrade(config(connection), "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    open_journal(url).dispose()
    with journal.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_six_processes_open_a_new_journal_at_once(url: str) -> None:
    assert at_once(6, lambda _: open_journal(url).dispose()) == [None] * 6
    assert not ids(open_journal(url))


def test_threads_open_different_new_journals_at_once(tmp_path: Path) -> None:
    opened: list[sa.Engine] = []
    threads = [
        threading.Thread(
            target=lambda n=n: opened.append(open_journal(f"sqlite:///{tmp_path}/{n}/j.db"))
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ids(engine) for engine in opened] == [[]] * 8


def test_a_journal_of_a_newer_version_is_refused_and_untouched(
    journal: sa.Engine, url: str
) -> None:
    with journals.writing(journal) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        Refused,
        match=r"journal-newer \[journal\]: expected at most 0002; found revision '9999'; "
        r"to do: use the version",
    ):
        open_journal(url)
    assert sa.inspect(journal).has_table("predictions")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("", "journal-url.*found no database URL"),
        ("journal.db", "journal-url"),
        ("sqlite://", "journal-url.*sqlite:///PATH"),
        ("sqlite:///:memory:", "journal-url"),
        ("postgresql://host:port/x", "journal-url"),
        ("sqlite:///x?timeout=s3cret", "journal-url"),
        ("postgresql://ann:s3cret@s3cret/x@host/d", "journal-url.*%40"),
        ("mysql://ann:s3cret@host/x", "journal-unknown.*'mysql'"),
        (
            "postgresql://ann:s3cret@127.0.0.1:9/x",
            r"journal-unreachable.*ann:\*\*\*@127.0.0.1:9/x: .*refused; to do: check FIVEFOLD",
        ),
        ("postgres://127.0.0.1:9/x?user=ann&password=s3cret", "journal-unreachable.*refused"),
        (
            "postgresql+asyncpg://ann:s3cret@127.0.0.1:9/x?sslmode=odd",
            "journal-unreachable.*invalid sslmode",
        ),
    ],
)
def test_urls_that_lead_to_no_journal(
    url: str, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=match) as caught:
        open_journal(url)
    assert "s3cret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_places_that_take_no_journal(tmp_path: Path, open_folder: Path, server: str) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    for place, match in (
        (tmp_path / "text.db", "file is not a database"),
        (tmp_path / "text.db" / "j.db", "File exists|Not a dir"),
        (tmp_path, "unable to open database file"),
    ):
        with pytest.raises(Refused, match=f"journal-unreachable.*({match})"):
            open_journal(f"sqlite:///{place}")
    with nobody(open_folder):
        with pytest.raises(
            Refused,
            match=r"journal-unreachable.*Permission denied.*; to do: "
            r".*a folder that can be written",
        ):
            open_journal(f"sqlite:///{open_folder}/new/j.db")
        with pytest.raises(Refused, match=r"journal-unreachable.*unable to open database file"):
            open_journal(f"sqlite:///{open_folder}/j.db")
    with pytest.raises(Refused, match=r'journal-unreachable.*database "none" does not exist'):
        open_journal(server.replace("/postgres", "/none").replace("//none", "//postgres"))
    assert open_journal(f"sqlite:///{open_folder}/new/100%/j.db")


# Predictions


def test_a_line_written_twice_counts_once(journal: sa.Engine) -> None:
    write(journal, [line(1), line(2), line(1, probability=0.9)], [reject(3), reject(3)])
    write(journal, [line(2, probability=0.9), line(4)], [reject(3), reject(5)])
    actual = read_predictions(journal, "p")
    assert actual["id"].tolist() == [line(n)["id"] for n in (1, 2, 4)]
    assert actual["probability"].tolist() == [0.25] * 3
    assert read_rejects(journal, "p")["id"].tolist() == [line(n)["id"] for n in (3, 5)]


def test_a_transaction_that_breaks_leaves_nothing(journal: sa.Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        write(journal, [line(1), line(2, model=None)], [reject(3)])
    with pytest.raises(sa.exc.IntegrityError):
        write(journal, [line(1)], [reject(3, reason=None)])
    assert not ids(journal)


def test_times_come_back_as_they_were(journal: sa.Engine) -> None:
    away = datetime(2026, 7, 1, 2, 0, tzinfo=UTC).astimezone(ZoneInfo("Asia/Tokyo"))
    times = [
        datetime(1970, 1, 1),
        datetime(2026, 3, 29, 2, 30, 0, 1),
        away,
        datetime(2262, 5, 1, 23, 59, 59, 999999),
    ]
    write(journal, [line(n, at=at) for n, at in enumerate(times)])
    actual = read_predictions(journal, "p")["at"]
    assert actual.dtype == "datetime64[us]"
    assert [at.to_pydatetime() for at in actual] == [
        times[0],
        times[1],
        datetime(2026, 7, 1, 2, 0),
        times[3],
    ]
    assert span(journal, "p") == (times[0], times[3])
    assert span(journal, "other") is None


def test_any_text_is_kept(journal: sa.Engine, tmp_path: Path) -> None:
    """NUL, which PostgreSQL takes in no text, and half a surrogate pair are replaced."""
    lines = [
        line(n, inputs=text, entity=text, decision=text, warnings=text, model=text)
        for n, text in enumerate(NASTY)
    ]
    assert (
        keep(journal, tmp_path / "spool", lines, [reject(9, reason=NASTY[2], inputs=NASTY[3])])
        == "journal"
    )
    actual = read_predictions(journal, "p")
    expected = [text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd") for text in NASTY]
    for column in ("inputs", "entity", "decision", "warnings", "model"):
        assert actual[column].tolist() == expected
    assert read_rejects(journal, "p").loc[0, ["reason", "inputs"]].tolist() == [
        expected[2],
        expected[3],
    ]
    result = journal_labels.add_labels(
        journal,
        "p",
        [Label(entity=text, label=1) for text in NASTY[:5]],
        source="file",
        who=NASTY[2],
        now=T0 + timedelta(days=1),
    )
    assert result["accepted"] == 5


def test_long_texts_are_kept_and_cut_ones_stay_different(
    journal: sa.Engine, tmp_path: Path
) -> None:
    """PostgreSQL refuses a text that is longer than its column; SQLite does not look."""
    lines = [
        line(
            n,
            inputs="é" * 2_000_000,
            entity="e" * 600 + str(n),
            decision="d" * 300,
            id=f"{n}" + "i" * 40,
        )
        for n in range(2)
    ]
    assert keep(journal, tmp_path / "spool", lines) == "journal"
    actual = read_predictions(journal, "p")
    assert actual["inputs"].str.len().tolist() == [2_000_000] * 2
    assert (
        actual["id"].nunique(),
        actual["entity"].nunique(),
        actual["entity"].str.len().max(),
    ) == (
        2,
        2,
        500,
    )
    result = journal_labels.add_labels(
        journal,
        "p",
        [
            Label(entity=lines[1]["entity"], label=1),
            Label(prediction_id=lines[0]["id"], label=0),
            Label(prediction_id="0" + "i" * 39, label=0),
        ],
        source="api",
        who="w" * 999,
        now=T0 + timedelta(days=1),
    )
    assert (result["accepted"], result["unknown"]) == (2, 1)
    assert read_predictions(journal, "p")["label"].tolist() == [0, 1]


def test_reading_takes_the_newest_label_of_a_half_open_time(journal: sa.Engine) -> None:
    write(journal, [line(n) for n in range(5)] + [line(9, problem="other")])
    for day, label in ((1, 0), (2, 1)):
        journal_labels.add_labels(
            journal,
            "p",
            [Label(prediction_id=line(2)["id"], label=label)],
            source="api",
            who="ann",
            now=T0 + timedelta(days=day),
        )
    actual = read_predictions(journal, "p", T0 + timedelta(seconds=1), T0 + timedelta(seconds=4))
    assert actual["id"].tolist() == [line(n)["id"] for n in (1, 2, 3)]
    assert actual["label"].fillna(-1).tolist() == [-1, 1, -1]
    assert actual["labelled_at"].tolist()[1] == T0 + timedelta(days=2)
    assert actual.columns.tolist() == [*PREDICTIONS.c.keys(), "label", "labelled_at", "acted"]
    assert read_predictions(journal, "p", columns=("id", "at")).columns.tolist() == [
        "id",
        "at",
        "label",
        "labelled_at",
        "acted",
    ]
    for none in (
        read_predictions(journal, "none"),
        read_predictions(journal, "p", until=T0 + timedelta(seconds=1)),
    ):
        assert none.dtypes[["at", "label", "labelled_at"]].tolist() == [
            "datetime64[us]",
            "float64",
            "datetime64[us]",
        ]
    write(journal, [], [reject(n) for n in range(4)])
    assert (
        len(read_rejects(journal, "p", T0 + timedelta(seconds=1), T0 + timedelta(seconds=3))) == 2
    )


@pytest.mark.slow
def test_a_hundred_thousand_lines_and_fifty_thousand_labels(journal: sa.Engine) -> None:
    rows = (
        100_000 if journal.dialect.name == "sqlite" else 20_000
    )  # the bounds are seconds, and this server is a test's
    lines = [
        line(n, entity=f'["{n % (rows * 6 // 10)}"]', inputs='{"city":"Zürich","age":41}' * 8)
        for n in range(rows)
    ]
    labels = [
        Label(prediction_id=x["id"], label=1) if n % 2 else Label(entity=x["entity"], label=0)
        for n, x in enumerate(lines[: rows // 2])
    ]
    marks = [time.perf_counter()]
    write(journal, lines)
    marks.append(time.perf_counter())
    result = journal_labels.add_labels(
        journal, "p", labels, source="file", who="ann", now=T0 + timedelta(days=2)
    )
    marks.append(time.perf_counter())
    actual = read_predictions(journal, "p")
    marks.append(time.perf_counter())
    seconds = np.diff(marks)
    assert (result["accepted"], len(actual), int(actual["label"].notna().sum())) == (
        rows // 2,
        rows,
        rows // 2,
    )
    assert seconds[0] < 15
    assert seconds[1] < 20
    assert seconds[2] < 15


def test_retention_forgets_what_is_old_of_one_problem(journal: sa.Engine) -> None:
    old, new = T0 - timedelta(days=31), T0 - timedelta(days=29)
    for problem, first in (("p", 0), ("other", 10)):
        write(
            journal,
            [line(first, problem=problem, at=old), line(first + 1, problem=problem, at=new)],
            [
                reject(first + 2, problem=problem, at=old),
                reject(first + 3, problem=problem, at=new),
            ],
        )
        for at, unknown in ((old, "gone"), (new, "to come")):
            labels = [
                Label(prediction_id=x, label=1)
                for x in (line(first)["id"], line(first + 1)["id"], unknown)
            ]
            journal_labels.add_labels(
                journal,
                problem,
                [*labels, Label(entity=unknown, label=1)],
                source="api",
                who="ann",
                now=at,
            )
    untouched = (
        ids(journal, "other"),
        journal_labels.counts(journal, "other"),
        len(read_rejects(journal, "other")),
    )
    assert purge(journal, "p", None, T0) == {}
    assert len(ids(journal)) == 2
    assert purge(journal, "p", 30, T0) == {"labels": 4, "predictions": 1, "rejects": 1}
    assert ids(journal) == [line(1)["id"]]
    assert read_rejects(journal, "p")["id"].tolist() == [line(3)["id"]]
    assert journal_labels.counts(journal, "p") == {
        "accepted": 1,
        "corrected": 0,
        "duplicate": 1,
        "unknown": 2,
        "late": 0,
    }
    assert purge(journal, "p", 30, T0) == {"labels": 0, "predictions": 0, "rejects": 0}
    assert untouched == (
        ids(journal, "other"),
        journal_labels.counts(journal, "other"),
        len(read_rejects(journal, "other")),
    )


# The writer and its spool


def test_eight_threads_submit(journal: sa.Engine, tmp_path: Path) -> None:
    writer, futures = Writer(journal, tmp_path / "spool"), []

    def work(first: int) -> None:
        futures.extend(
            writer.submit([line(first + n)], [reject(first + n)] if n % 10 == 0 else ())
            for n in range(200)
        )

    threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert {future.result(0) for future in futures} == {"journal"}
    assert len(ids(journal)) == 1600
    assert len(read_rejects(journal, "p")) == 160
    with pytest.raises(NotKept, match="closed"):
        writer.submit([line(1)]).result(1)
    writer.close()


def test_a_caller_who_gave_up_does_not_stop_the_writer(hasty: sa.Engine, tmp_path: Path) -> None:
    """asyncio cancels the future of a client that went away."""
    writer = Writer(hasty, tmp_path / "spool")
    with locked(hasty):
        futures = [writer.submit([line(n)]) for n in range(20)]
        cancelled = [future.cancel() for future in futures[10:]]
        assert {future.result(5) for future in futures[:10]} == {"spool"}
    assert any(cancelled)
    assert writer.submit([line(99)]).result(5) == "journal"
    writer.close()
    empty(hasty, tmp_path / "spool")
    assert set(ids(hasty)) >= {line(n)["id"] for n in (*range(10), 99)}


def test_what_a_locked_journal_did_not_take_gets_there_without_further_requests(
    hasty: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.journal.writer.RETRY_SECONDS", 0.1)
    spool = tmp_path / "spool"
    writer = Writer(hasty, spool)
    lines = [line(n, inputs=text) for n, text in enumerate(NASTY)]
    with locked(hasty):
        assert writer.submit(lines, [reject(50)]).result(5) == "spool"
        assert writer.submit(lines[:1]).result(5) == "spool"
        assert len(list(spool.glob("*.jsonl"))) == 2
    deadline = time.monotonic() + 5
    while list(spool.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(spool.iterdir())
    writer.close()
    actual = read_predictions(hasty, "p")
    assert actual["id"].tolist() == [x["id"] for x in lines]
    assert actual["at"].tolist() == [x["at"] for x in lines]
    assert actual["inputs"].tolist()[4:] == list(NASTY[4:])
    assert len(read_rejects(hasty, "p")) == 1


def test_a_crash_between_journal_and_spool_doubles_nothing(
    hasty: sa.Engine, tmp_path: Path
) -> None:
    with locked(hasty):
        assert keep(hasty, tmp_path, [line(1), line(2)]) == "spool"
    held = next(tmp_path.glob("*.jsonl"))
    text = held.read_bytes()
    assert empty(hasty, tmp_path) == 1
    held.write_bytes(text)  # as if the process had died before it removed the file
    assert empty(hasty, tmp_path) == 1
    assert len(ids(hasty)) == 2
    assert empty(hasty, tmp_path / "none") == 0


def test_processes_that_empty_one_spool_at_once(hasty: sa.Engine, tmp_path: Path, url: str) -> None:
    with locked(hasty):
        for n in range(3):
            keep(hasty, tmp_path, [line(10 * n + k) for k in range(10)])
    moved = at_once(4, lambda _: empty(open_journal(url), tmp_path))
    while empty(hasty, tmp_path):
        pass
    assert all(isinstance(n, int) for n in moved)
    assert len(ids(hasty)) == 30


def test_lines_that_no_journal_takes_are_put_aside_and_block_nothing(
    journal: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert keep(journal, tmp_path, [line(1), line(2, model=None), line(3)]) == "spool"
    poison = next(tmp_path.glob("*.jsonl"))
    first = tmp_path / "0-first.jsonl"
    first.write_bytes(
        b'{"half a li\n\xff\xfe\n[1,2,3]\n["labels",{}]\n'
        b'["predictions",{"at":"soon"}]\n["predictions",[]]\n'
    )
    (tmp_path / "1-odd.jsonl").mkdir()
    assert empty(journal, tmp_path) == 2
    assert ids(journal) == [line(1)["id"], line(3)["id"]]
    assert not poison.exists()
    assert len(first.with_suffix(".damaged").read_bytes().splitlines()) == 6
    assert line(2)["id"] in poison.with_suffix(".damaged").read_text()
    assert "6 spooled lines cannot go into the journal" in caplog.text


def test_a_journal_that_is_away_keeps_the_whole_spool(hasty: sa.Engine, tmp_path: Path) -> None:
    with locked(hasty):
        for n in range(3):
            keep(hasty, tmp_path, [line(n)])
        assert empty(hasty, tmp_path) == 0
    assert len(list(tmp_path.glob("*.jsonl"))) == 3
    assert empty(hasty, tmp_path, most=2) == 2
    assert len(ids(hasty)) == 2


def test_neither_journal_nor_spool(hasty: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for spool in (tmp_path / "file", tmp_path / "file" / "spool"):
        writer = Writer(hasty, spool)
        with (
            locked(hasty),
            pytest.raises(
                NotKept,
                match=r"neither the journal \(.*(lock|locked).*\) nor the spool \(.*\) takes lines",
            ),
        ):
            writer.submit([line(1)]).result(5)
        assert writer.submit([line(2)]).result(5) == "journal"
        writer.close()
    assert ids(hasty) == [line(2)["id"]]


def test_a_file_that_was_removed_takes_no_lines_to_nowhere(tmp_path: Path) -> None:
    url, spool = f"sqlite:///{tmp_path}/j.db", tmp_path / "spool"
    engine = open_journal(url)
    writer = Writer(engine, spool)
    assert writer.submit([line(1)]).result(5) == "journal"
    (tmp_path / "j.db").unlink()
    assert writer.submit([line(2)]).result(5) == "spool"
    again = open_journal(url)  # as a restart does
    assert writer.submit([line(3)]).result(5) == "journal"
    writer.close()
    empty(again, spool)
    assert ids(again) == [line(2)["id"], line(3)["id"]]


def test_a_folder_that_cannot_be_written_any_more(open_folder: Path, tmp_path: Path) -> None:
    engine = open_journal(f"sqlite:///{open_folder}/j.db")
    engine.dispose()
    spool = open_folder / "spool"
    spool.mkdir()
    spool.chmod(0o777)
    with nobody(open_folder):
        assert keep(engine, spool, [line(1)]) == "spool"
        with pytest.raises(NotKept, match=r"nor the spool \(.*Permission denied.*\) takes lines"):
            keep(engine, open_folder / "other", [line(2)])
    assert empty(engine, spool) == 1
    assert ids(engine) == [line(1)["id"]]


KILLED = """
import sys
from pathlib import Path
from fivefold.journal import database as journal
from fivefold.journal.writer import Writer
from tests.journal.test_database import line
journal.BUSY_SECONDS = 0.1
writer = Writer(journal.open_journal(sys.argv[1]), Path(sys.argv[2]))
for n in range(0, 10_000_000, 5):
    futures = [writer.submit([line(n + k)]) for k in range(5)]
    for k, future in enumerate(futures):
        print(line(n + k)["id"], future.result(), flush=True)
"""


def test_what_was_acknowledged_survives_a_killed_process(
    hasty: sa.Engine, url: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, str(spool)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    result: list[str] = []
    reading = threading.Thread(target=lambda: result.extend(process.stdout))
    reading.start()
    deadline = time.monotonic() + 30
    while not result and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    with locked(hasty):
        time.sleep(0.5)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reading.join()
    acknowledged = [text.split() for text in result if text.endswith("\n")]
    assert {where for _, where in acknowledged} == {"journal", "spool"}
    while empty(hasty, spool):
        pass
    kept = ids(hasty)
    assert len(kept) == len(set(kept))
    assert {number for number, _ in acknowledged} <= set(kept)


# Calls that hang


def test_a_call_that_hangs_is_given_up_and_no_second_one_is_left_behind(tmp_path: Path) -> None:
    engine = open_journal(f"sqlite:///{tmp_path}/j.db")
    goes_on = threading.Event()
    assert journals.within(engine, 5.0, max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        journals.within(engine, 5.0, lambda: 1 / 0)
    with pytest.raises(TimeoutError, match=r"no answer in 0\.05 seconds"):
        journals.within(engine, 0.05, goes_on.wait)
    with pytest.raises(TimeoutError, match="an earlier call of the journal has not ended"):
        journals.within(engine, 0.05, goes_on.wait)
    assert sum(thread.name == "journal call" for thread in threading.enumerate()) == 1
    goes_on.set()
    assert journals.within(engine, 5.0, max, 1, 2) == 2
    engine.dispose()


def test_a_journal_that_hangs_holds_up_one_lot_only(
    hasty: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr("fivefold.journal.writer.RETRY_SECONDS", 0.05)
    monkeypatch.setattr(
        "fivefold.journal.writer.write", lambda *rows: (goes_on.wait(60), journals.write(*rows))
    )
    writer = Writer(hasty, tmp_path)
    assert writer.submit([line(1)]).result(10) == "spool"
    began = time.monotonic()
    assert [writer.submit([line(n)]).result(10) for n in (2, 3)] == ["spool", "spool"]
    assert time.monotonic() - began < 1
    assert writer.away
    goes_on.set()
    deadline = time.monotonic() + 10
    while (writer.away or list(tmp_path.glob("*.jsonl"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert writer.submit([line(4)]).result(10) == "journal"
    writer.close()
    assert ids(hasty) == [line(n)["id"] for n in (1, 2, 3, 4)]
