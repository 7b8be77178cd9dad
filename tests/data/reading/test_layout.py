"""Headers below other lines, headers of another width, and quotes that take in other rows."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from fivefold.core.findings import Refused
from fivefold.data.reading.source import Dataset, read
from fivefold.data.reading.table_parts import cut_table

HEADER = "id,plan,fee,left\n"
LINES = [f"{n},p{n % 7},{n * 1.5},{'yes' if n % 3 else 'no'}" for n in range(600)]
BODY = "\n".join(LINES) + "\n"


def table(folder: Path, text: str) -> Dataset:
    path = folder / "t.csv"
    path.write_text(text, newline="")
    return read(str(path))


def said(data: Dataset, code: str) -> list[str]:
    return [f"{f.severity}: {f.found}" for f in data.findings if f.code == code]


@pytest.mark.parametrize(
    ("above", "found"),
    [
        ("Report 2024\n\n", "the line 'Report 2024' above the header in row 2"),
        ("# made by me\n# at 12:00, on 1.2.\n", "2 lines ('# made by me', '# at 12:00 on 1.2.')"),
        ("# a,b,c,d\n", "the line '# a b c d'"),
        ("Report,,,\n,,,\n", "2 lines ('Report', 'an empty row')"),
        (",,Money,\n", "the line 'Money'"),
        ("Who,Who,Money,Money\n", "the line 'Who Who Money Money'"),
        ("Export, of all, on 3 May, 12:00, final\n", "the line 'Export of all on 3 May"),
    ],
)
def test_lines_above_the_header_are_left_out_and_said(
    tmp_path: Path, above: str, found: str
) -> None:
    data = table(tmp_path, above + HEADER + BODY)
    assert data.frame.columns.tolist() == ["id", "plan", "fee", "left"]
    assert data.frame["id"].tolist() == list(range(600))
    (text,) = said(data, "lines-above-header")
    assert text.startswith(f"warning: {found}")


@pytest.mark.parametrize(
    "text",
    [
        HEADER + BODY,
        "#id,plan,fee,left\n" + BODY,
        ",plan,fee,left\n" + BODY,
        "city,country\nParis,France\nRome,Italy\n",
        "code,2019,2020\na,1,2\nb,3,4\n",
        "a,b,c\nx,,\ny,1,2\nz,3,4\n",
    ],
)
def test_a_header_in_the_first_row_stays_one(tmp_path: Path, text: str) -> None:
    data = table(tmp_path, text)
    assert said(data, "lines-above-header") == []
    assert data.rows == len(text.splitlines()) - 1


def test_years_may_be_names_below_a_title(tmp_path: Path) -> None:
    data = table(tmp_path, "People\ncountry,2019,2020\nA,1,2\nB,4,5\n")
    assert data.frame.columns.tolist() == ["country", "2019", "2020"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "plan,fee,left\n" + BODY,
            r"header-width.*found 3 names in the header \(plan, fee, left\), and 4 fields in the",
        ),
        ("id,plan,fee,left,x\n" + BODY, r"header-width.*found 5 names.*, and 4 fields.*delete"),
        ("Report\n" + BODY, r"header-missing.*the line 'Report', then rows of values without"),
        ("\ufeff", "empty.*no content"),
        ("\ufeffa,b\n", "no-rows"),
        ("a,b", "no-rows"),
    ],
)
def test_refused_by_cause(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(Refused, match=match):
        table(tmp_path, text)


def test_a_trailing_delimiter_makes_no_column(tmp_path: Path) -> None:
    longer = BODY.replace("\n", ",\n")
    for text in (HEADER + longer, HEADER.replace("\n", ",\n") + longer):
        data = table(tmp_path, text)
        assert data.frame.columns.tolist() == ["id", "plan", "fee", "left"]
        assert len(said(data, "trailing-delimiter")) == 1
    assert table(tmp_path, HEADER.replace("\n", ",\n") + BODY).frame.shape == (600, 4)
    with pytest.raises(Refused, match=r"header-width.*right of the last name, in row 602"):
        table(tmp_path, HEADER + longer + "7,p1,2,yes,9\n")


def with_quotes(opened: int, closed: int, column: int = 1) -> str:
    """The table, with a stray quote in each of two rows, counted as in a spreadsheet."""
    lines = [HEADER.strip(), *LINES]
    for row in (opened, closed):
        cells = lines[row - 1].split(",")
        cells[column] = '"' + cells[column] if row == opened else cells[column] + '"'
        lines[row - 1] = ",".join(cells)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("opened", "closed"), [(100, 400), (2, 601), (599, 600), (300, 302)])
@pytest.mark.parametrize("column", [0, 1, 3])
def test_a_quote_that_swallows_rows_is_refused_with_both_rows(
    tmp_path: Path, opened: int, closed: int, column: int
) -> None:
    text = with_quotes(opened, closed, column)
    for newline in ("\n", "\r\n"):
        with pytest.raises(Refused, match="quote-swallows-rows") as caught:
            table(tmp_path, text.replace("\n", newline))
        found = f"opens in row {opened} and closes in row {closed}, in column {column + 1}"
        assert f"{found}; {closed - opened} rows stand inside quotes" in str(caught.value)
    with pytest.raises(Refused, match=f"opens in row {opened} and closes in row {closed}"):
        cut_table(str(tmp_path / "t.csv"), None, tmp_path / "parts")


def test_a_quote_that_closes_in_another_column_is_refused_with_both_rows(tmp_path: Path) -> None:
    lines = [HEADER.strip(), *LINES]
    lines[99] = lines[99].replace(",p", ',"p')
    lines[399] += '"'
    with pytest.raises(Refused, match=r"row-width.*the quote in row 100 closes in row 400 only"):
        table(tmp_path, "\n".join(lines))


def test_a_stray_quote_among_quoted_cells_is_refused(tmp_path: Path) -> None:
    lines = [HEADER.strip(), *(f'{n},"p{n % 7}",{n}.5,"yes"' for n in range(600))]
    lines[99] = '98,"p0,98.5,yes'
    with pytest.raises(Refused, match=r"opens in row 100 and closes in row 101"):
        table(tmp_path, "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "cell",
    [
        "first line\nsecond line",
        "Dear Sir,\nthanks, and, so, on\nbye",
        "a, b, c, d\ne, f, g, h",
        "1 Main St, Apt 2\nSpringfield, IL",
        "\n",
    ],
)
def test_line_breaks_that_belong_to_a_cell_stay_quiet(tmp_path: Path, cell: str) -> None:
    text = "".join(f'{n},"{cell}",{n},yes\n' for n in range(50))
    data = table(tmp_path, "id,note,fee,left\n" + text)
    assert data.rows == 50
    assert said(data, "quote-swallows-rows") == []
    two = "".join(f'{n},"hello\nbye, x"\n' for n in range(50))
    assert said(table(tmp_path, "n,note\n" + two), "quote-swallows-rows") == []


def test_lines_that_may_be_rows_of_words_are_a_warning(tmp_path: Path) -> None:
    words = [f"w{n}a,v{n}b,u{n}c" for n in range(30)]
    words[9] = words[9].replace(",v", ',"v')
    words[12] = words[12].replace("b,", 'b",')
    data = table(tmp_path, "\n".join(["x,y,z", *words]) + "\n")
    assert said(data, "quote-swallows-rows") == [
        "warning: a quote that opens in row 11 and closes in row 14, in column 2; "
        "3 rows stand inside quotes"
    ]


# Paths that lead to no file


def test_a_pipe_a_device_and_broken_links_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    for name, match in [
        ("pipe.csv", "not-a-file.*found a pipe"),
        ("loop.csv", "link-broken.*a symbolic link that leads back to itself"),
        ("gone.csv", "link-broken.*a symbolic link to .*nowhere.csv, which does not exist"),
        ("/dev/zero", "not-a-file.*found a device"),
    ]:
        with pytest.raises(Refused, match=match):
            read(str(tmp_path / name))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(Refused, match=r"not-a-file.*found a socket"):
            read(str(tmp_path / "s"))


def test_a_pipe_among_the_parts_of_a_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.parquet")
    with pytest.raises(Refused, match=r"not-a-file.*found a pipe"):
        read(str(tmp_path))


def test_pointers_say_how_to_fetch_the_table(tmp_path: Path) -> None:
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
    for text, match in [
        ("outs:\n- md5: ab\n  size: 9\n  path: t.csv\n", "pointer-file.*DVC.*dvc pull"),
        (lfs, "pointer-file.*Git LFS.*git lfs pull"),
        ("/annex/objects/SHA256E-s9--ab.csv\n", "pointer-file.*git-annex.*git annex get"),
    ]:
        with pytest.raises(Refused, match=match):
            table(tmp_path, text)
    (tmp_path / "away.csv.dvc").write_text("outs:\n- path: away.csv\n")
    with pytest.raises(Refused, match=r"file-missing.*dvc pull .*away.csv.dvc"):
        read(str(tmp_path / "away.csv"))
