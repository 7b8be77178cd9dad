"""Corpus: hostile tables drawn by small functions, each with its right answer.

The plain table has 300 rows: a number `age`, a category `plan`, a column `x` that most tables
spoil, and the label `y`. Rows and cells are drawn with fixed seeds; nothing is stored.
"""

from __future__ import annotations

import gzip
import os
import random
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

from fivefold.core.scope import Scope
from tests.hostile.judge import Answer, Case
from tests.support.workbooks import ods, xls, xlsx

ROWS = 300
NAMES = ("age", "plan", "x", "y")
CASES: list[Case] = []
Cell = Callable[[random.Random, int], object]


def rows_of(x: Cell = lambda draw, n: round(draw.gauss(0, 1), 3), y: Cell | None = None) -> list:
    """Return the rows of the plain table, as lists of cells without a header."""
    draw = random.Random(7)
    rows = []
    for n in range(ROWS):
        age, plan = draw.randint(18, 80), draw.choice(["basic", "plus", "pro"])
        label = "yes" if draw.random() < 0.2 + 0.004 * age else "no"
        rows.append([age, plan, x(draw, n), y(draw, n) if y else label])
    return rows


def text_of(rows: Iterable[Sequence[object]], delimiter: str = ",", header: bool = True) -> str:
    """Return rows as delimited text; cells are written as they are."""
    lines = [delimiter.join("" if cell is None else str(cell) for cell in row) for row in rows]
    return "\n".join([delimiter.join(NAMES), *lines] if header else lines) + "\n"


PLAIN = rows_of()
TEXT = text_of(PLAIN)
BODY = text_of(PLAIN, header=False)
HEADER = ",".join(NAMES) + "\n"
ALL = Answer(rows=ROWS, columns=NAMES, kinds={"age": "numeric", "plan": "categorical"})


def add(
    kind: str,
    name: str,
    content: str | bytes | Callable[[Path], Path],
    answer: Answer,
    file: str = "t.csv",
    **scope: object,
) -> None:
    """Add a case: its content as text (UTF-8) or bytes, or a function that writes it."""

    def write(folder: Path) -> Path:
        if callable(content):
            return content(folder)
        data = content.encode() if isinstance(content, str) else content
        (folder / file).write_bytes(data)
        return folder / file

    values = {"target": "y", "positive": None, **scope}
    CASES.append(Case(kind, name, write, answer, Scope(**values)))


def column(kind: str, name: str, x: Cell, answer: Answer, **scope: object) -> None:
    """Add the plain table with other cells in `x`."""
    quoted = rows_of(lambda draw, n: f'"{x(draw, n)}"')
    add(kind, name, text_of(quoted), answer, **scope)


def read_x(kind: str, value: object, row: int = 0, warned: tuple[str, ...] = ()) -> Answer:
    """Return the answer that `x` is of a kind and has a value in a row."""
    return Answer(rows=ROWS, kinds={"x": kind}, values={"x": (row, value)}, warned=warned)


# Quotes


def stray(opened: int, closed: int, position: int = 2, delimiter: str = ",") -> str:
    """Return the table with a stray quote that opens in one row and closes in another."""
    lines = text_of(PLAIN, delimiter).split("\n")
    for row, at_start in ((opened, True), (closed, False)):
        cells = lines[row - 1].split(delimiter)
        cells[position] = f'"{cells[position]}' if at_start else f'{cells[position]}"'
        lines[row - 1] = delimiter.join(cells)
    return "\n".join(lines)


SWALLOWED = Answer(refused=("quote-swallows-rows",))
QUIET = Answer(rows=ROWS, columns=NAMES, quiet=("quote-swallows-rows", "row-width"))
add("quotes", "opens in row 100, closes in row 250", stray(100, 250), SWALLOWED)
add("quotes", "in neighbouring rows", stray(100, 101), SWALLOWED)
add("quotes", "all rows but one", stray(2, 300), SWALLOWED)
add("quotes", "in the first column", stray(20, 90, 0), SWALLOWED)
add("quotes", "in the label", stray(20, 90, 3), SWALLOWED)
add("quotes", "with semicolons", stray(20, 90, 1, ";"), SWALLOWED)
add("quotes", "with Windows line ends", stray(20, 90).replace("\n", "\r\n"), SWALLOWED)
add("quotes", "below a title", "Report\n" + stray(20, 90), SWALLOWED)
add("quotes", "in gzip", gzip.compress(stray(20, 90).encode()), SWALLOWED, "t.csv.gz")
add(
    "quotes",
    "one quote among quoted cells is missing",
    text_of([[f'"{c}"' for c in row] for row in PLAIN]).replace('"basic"', '"basic', 1),
    Answer(refused=("quote-swallows-rows", "row-width", "quote-open")),
)
add("quotes", "never closes", TEXT.replace("basic", '"basic', 1), Answer(refused=("row-width",)))
add(
    "quotes",
    "never closes in the last column",
    TEXT.replace(",yes", ',"yes', 1),
    Answer(refused=("quote-open", "quote-swallows-rows")),
)
add(
    "quotes",
    "closes in another column",
    stray(20, 90).replace('"\n', "\n").replace("plus", 'plus"', 1),
    Answer(refused=("row-width", "quote-open", "quote-swallows-rows")),
)
for what, note in {
    "two lines": "first line\nsecond line",
    "a letter": "Dear Sir,\nthank you, and so on,\n\nyours",
    "lines with the delimiter of a row": "a, b, c, d\ne, f, g, h",
    "an address": "1 Main St, Apt 2\nSpringfield, IL, USA",
    "quotes and lines": 'he said ""no"", and\nleft',
}.items():
    noted = text_of(rows_of(lambda draw, n, note=note: f'"{note} {n}"'))
    add("quotes", f"right: {what}", noted, QUIET)
column("quotes", "right: inches", lambda draw, n: f'{n % 7}"" pipe', QUIET)
add(
    "quotes",
    "right: inches without quotes",
    text_of(rows_of(lambda draw, n: f'{n % 7}" pipe')),
    QUIET,
)
add("quotes", "right: apostrophes", text_of(rows_of(lambda draw, n: f"'t {n % 5}")), QUIET)

# Headers

ABOVE = Answer(rows=ROWS, columns=NAMES, warned=("lines-above-header",))
for what, lines in {
    "a title": "Report 2024\n",
    "a title and an empty line": "Report 2024\n\n",
    "a title with a delimiter": "Report, May 2024\n",
    "comments": "# made by me\n# on 3 May, 12:00, in Rome\n",
    "a comment of the width of the rows": "# a,b,c,d\n",
    "comments of LaTeX": "% one, two\n",
    "comments of SQL": "-- select a, b\n-- from t\n",
    "a title in empty cells": "Report,,,\n,,,\n",
    "a row of groups": ",,Money,\n",
    "a row of repeated groups": "Who,Who,Rest,Rest\n",
    "twenty lines of notes": "".join(f"Note {n}: see page {n}, please\n" for n in range(20)),
    "a mark and a title": "\ufeffReport\n",
}.items():
    add("header", what, lines + TEXT, ABOVE)
add("header", "plain", TEXT, Answer(rows=ROWS, columns=NAMES, quiet=("lines-above-header",)))
add("header", "one field short", "age,plan,x\n" + BODY, Answer(refused=("header-width",)))
add("header", "one field long", "age,plan,x,y,z\n" + BODY, Answer(refused=("header-width",)))
add("header", "trailing commas", HEADER + BODY.replace("\n", ",\n"), ALL)
add("header", "trailing commas everywhere", TEXT.replace("\n", ",\n"), ALL)
add("header", "a trailing comma above", "age,plan,x,y,\n" + BODY, ALL)
add("header", "many trailing commas", TEXT.replace("\n", ",,,,\n"), ALL)
add("header", "none", BODY, Answer(refused=("header-missing", "target-missing")))
add("header", "a title and none", "Report\n" + BODY, Answer(refused=("header-missing",)))
add("header", "a name twice", "x,plan,x,y\n" + BODY, Answer(refused=("duplicate-columns",)))
add("header", "a name missing", "age,,x,y\n" + BODY, Answer(warned=("header-empty",)))
add("header", "spaces around names", " age , plan,x , y\n" + BODY, ALL)
add("header", "quoted", '"age","plan","x","y"\n' + BODY, ALL)
add("header", "no rows", HEADER, Answer(refused=("no-rows",)))
add("header", "no rows, no line end", HEADER.strip(), Answer(refused=("no-rows",)))
add("header", "nothing", "", Answer(refused=("empty",)))
add("header", "blank lines only", "\n \n\n", Answer(refused=("empty",)))
add("header", "a mark only", "\ufeff", Answer(refused=("empty",)))
add("header", "a row too wide", TEXT + "1,2,3,yes,5\n", Answer(refused=("row-width",)))
add("header", "a total below", TEXT + "Total\n", Answer(refused=("row-width",)))
add("header", "columns by spaces", TEXT.replace(",", "  "), Answer(refused=("one-column",)))

TWICE = Answer(refused=("header-repeated",))
TWO = Answer(refused=("header-doubtful",))
add("header", "files put together", TEXT + TEXT, TWICE)
add("header", "again in the middle", HEADER + BODY.replace("\n", f"\n{HEADER}", 1), TWICE)
add("header", "a row of units", HEADER + "years,,kg,\n" + BODY, TWO)
add("header", "two rows of names", "A,B,C,D\n" + TEXT, Answer(refused=("header-doubtful",)))
add(
    "header",
    "a first row of question marks",
    HEADER + "?,basic,?,no\n" + BODY,
    Answer(rows=ROWS + 1),
)
add("header", "invisible signs", "\ufeff\u200bage,plan\u200b,\u2060x,y\u200b\n" + BODY, ALL)
add(
    "header",
    "a quote opens",
    'age,"plan,x,y\n' + BODY.replace("basic", 'basic"', 1),
    Answer(refused=("quote-swallows-rows", "row-width")),
)
add("header", "a quote never closes", 'age,"plan,x,y\n' + BODY, Answer(refused=("quote-open",)))
add(
    "quotes",
    "after spaces",
    text_of([[f' "{c}"' for c in row] for row in PLAIN]),
    Answer(refused=("quotes-after-spaces",)),
)
add(
    "quotes",
    "with backslashes",
    text_of(rows_of(lambda draw, n: r'"say \"hi\", twice"')),
    Answer(refused=("quotes-escaped",)),
)
add("quotes", "right: paths", text_of(rows_of(lambda draw, n: '"C:\\dir\\"')), QUIET)
add(
    "quotes",
    "right: paths in quotes",
    text_of(rows_of(lambda draw, n: r'"see ""C:\d\"", x"')),
    QUIET,
)
add("quotes", "single", text_of(rows_of(lambda d, n: "'a, b'")), Answer(refused=("header-width",)))
RULE = "|---|---|---|---|"
MARKDOWN = "\n".join(f"| {' | '.join(map(str, row))} |" for row in PLAIN)
add(
    "delimiter",
    "table of Markdown",
    f"| {' | '.join(NAMES)} |\n{RULE}\n{MARKDOWN}\n",
    Answer(refused=("ruled-line",)),
)
add(
    "header",
    "keys and values above",
    "Name,Ann\nPlace,Rome\n\n" + TEXT,
    Answer(rows=ROWS, columns=NAMES, warned=("lines-above-header",)),
)

# Delimiters

for what, sign in {"semicolon": ";", "tab": "\t", "bar": "|"}.items():
    add("delimiter", what, text_of(PLAIN, sign), ALL)
add("delimiter", "Excel's own line", "sep=;\n" + text_of(PLAIN, ";"), ALL)
add("delimiter", "tabs under .csv.xls", text_of(PLAIN, "\t"), ALL, "t.xls")
add(
    "delimiter",
    "semicolon and decimal comma",
    text_of(rows_of(lambda draw, n: f"{n},5"), ";"),
    Answer(rows=ROWS, columns=NAMES, kinds={"x": "numeric"}, values={"x": (3, 3.5)}),
)
column("delimiter", "inside quotes", lambda draw, n: f"a;b|c,{n % 3}", ALL)
add("delimiter", "old Mac line ends", TEXT.replace("\n", "\r"), ALL)
add("delimiter", "blank lines between", TEXT.replace("\n", "\n\n"), ALL)

# Encodings

CITIES = {
    "cp1251": ["Москва", "Казань", "Тверь"],
    "koi8_r": ["Москва", "Казань", "Тверь"],
    "cp866": ["Москва", "Казань", "Тверь"],
    "iso8859_5": ["Москва", "Казань", "Тверь"],
    "mac_cyrillic": ["Москва", "Казань", "Тверь"],
    "cp1253": ["Αθήνα", "Πάτρα", "Βόλος"],
    "cp1256": ["القاهرة", "دبي", "عمان"],
    "cp874": ["กรุงเทพ", "เชียงใหม่", "ภูเก็ต"],
    "cp932": ["東京都", "大阪府", "さいたま"],
    "euc_jp": ["東京都", "大阪府", "さいたま"],
    "iso2022_jp": ["東京都", "大阪府", "さいたま"],
    "gb18030": ["北京", "上海", "天津"],
    "big5": ["臺北", "高雄", "台中"],
    "cp949": ["서울", "부산", "대구"],
    "cp1250": ["Łódź", "Kraków", "Gdańsk"],
    "cp1252": ["Köln", "Besançon", "Málaga"],
    "cp850": ["Köln", "Besançon", "Málaga"],
    "mac_roman": ["Köln", "Besançon", "Málaga"],
}
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


def cities(words: list[str], encoding: str) -> None:
    """Add a table with words in `x`, in an encoding."""
    content = text_of(rows_of(lambda draw, n: words[n % 3])).encode(encoding)
    warned = () if encoding in (*UNICODE, "iso2022_jp") else ("encoding-guessed",)
    answer = Answer(rows=ROWS, columns=NAMES, values={"x": (1, words[1])}, warned=warned)
    add("encoding", f"{encoding}, {words[1]}", content, answer)


for code, names in CITIES.items():
    cities(names, code)
for code in UNICODE:
    cities(["Köln", "Москва", "東京都"], code)
cities(["東京都神奈川県" * 5, "大阪府大阪市" * 5, "北海道札幌市" * 5], "utf-16-le")
cities(["AB社", "CD社", "東京"], "cp932")
cities(["iPhone чехол", "USB кабель", "флешка 2m"], "cp1251")
for code, pair in {"cp1251": ("да", "нет"), "cp932": ("はい", "いいえ")}.items():
    labels = rows_of(y=lambda draw, n, pair=pair: pair[draw.random() < 0.6])
    count = sum(row[3] == pair[0] for row in labels)
    add(
        "encoding",
        f"{code}, labels only",
        text_of(labels).encode(code),
        Answer(rows=ROWS, positives=count, warned=("encoding-guessed",)),
        positive=pair[0],
    )
add(
    "encoding",
    "broken UTF-8",
    text_of(rows_of(lambda draw, n: "café")).encode().replace(b"\xc3\xa9", b"\xc3", 1),
    Answer(rows=ROWS, warned=("encoding-damaged",)),
)
add("encoding", "NUL bytes", TEXT.encode().replace(b"p", b"\0", 1), Answer(refused=("nul-bytes",)))

# Files

FRAME = pd.DataFrame(PLAIN, columns=list(NAMES))
SHEET = [list(NAMES), *PLAIN]
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
POINTER = Answer(refused=("pointer-file",))
add("file", "pointer of DVC", "outs:\n- md5: ab\n  size: 9\n  path: t.csv\n", POINTER, "t.csv.dvc")
add("file", "pointer of Git LFS", LFS, POINTER)
add("file", "pointer of git-annex", "/annex/objects/SHA256E-s9--ab.csv\n", POINTER)
add("file", "HTML page", "<!DOCTYPE html><table><tr><td>1", Answer(refused=("html-page",)))
add("file", "HTML table named .xls", "<table><tr><td>1", Answer(refused=("html-page",)), "t.xls")
add(
    "file",
    "XML workbook of 2003",
    '<?xml version="1.0"?><Workbook>',
    Answer(refused=("html-page",)),
)
add("file", "workbook .xlsx", xlsx({"S": SHEET}), ALL, "t.xlsx")
add("file", "workbook .xls", xls(SHEET), ALL, "t.xls")
add("file", "workbook .ods", ods({"S": SHEET}), ALL, "t.ods")
add("file", "workbook named .csv", xlsx({"S": SHEET}), ALL)
add(
    "file",
    "workbook with a sheet of notes",
    xlsx({"Notes": [["made in May"], ["see below"]], "S": SHEET}),
    Answer(rows=ROWS, columns=NAMES, warned=("sheet",)),
    "t.xlsx",
)
add(
    "file",
    "workbook, a sheet by name",
    xlsx({"Other": [["a", "b"], [1, 2]], "S": SHEET}),
    ALL,
    "t.xlsx",
    query="S",
)
add(
    "file",
    "workbook, no such sheet",
    xlsx({"S": SHEET}),
    Answer(refused=("sheet-missing",)),
    "t.xlsx",
    query="T",
)
add(
    "file", "workbook with a title", xlsx({"S": [["Report"] + [None] * 3, *SHEET]}), ABOVE, "t.xlsx"
)
add(
    "file",
    "workbook broken off",
    xlsx({"S": SHEET})[:3000],
    Answer(refused=("excel-damaged",)),
    "t.xlsx",
)
add("file", "workbook without cells", xlsx({"S": []}), Answer(refused=("empty",)), "t.xlsx")
RECORDS = FRAME.to_json(orient="records", lines=True)
add("file", "JSON lines", RECORDS, ALL, "t.jsonl")
add("file", "JSON lines in UTF-16", RECORDS.encode("utf-16"), ALL, "t.jsonl")
add("file", "JSON list", FRAME.to_json(orient="records"), ALL, "t.json")
add("file", "JSON list over lines", FRAME.to_json(orient="records", indent=2), ALL, "t.json")
add("file", "JSON by column", FRAME.to_json(), Answer(refused=("json-file",)), "t.json")
add("file", "JSON lines broken off", RECORDS[:-20], Answer(refused=("json-file",)), "t.jsonl")
add("file", "JSON key twice", '{"y": 1, "y": 2}\n' * 9, Answer(refused=("duplicate-columns",)))
add("file", "gzip", gzip.compress(TEXT.encode()), ALL, "t.csv.gz")
add(
    "file", "gzip broken off", gzip.compress(TEXT.encode())[:-20], Answer(refused=("gzip-damaged",))
)
add("file", "zip archive", b"PK\x03\x04 nothing", Answer(refused=("compressed-file",)), "t.zip")
add("file", "picture", b"\x89PNG\r\n\x1a\n", Answer(refused=("not-a-table",)))
add("file", "document", b"%PDF-1.7", Answer(refused=("not-a-table",)))
add("file", "pickle", b"\x80\x04\x95", Answer(refused=("not-a-table",)))


def special(name: str, make: Callable[[Path], object], answer: Answer) -> None:
    """Add a path that a function makes."""

    def write(folder: Path) -> Path:
        make(folder / "t.csv")
        return folder / "t.csv"

    add("file", name, write, answer)


def _with_pointer(path: Path) -> None:
    path.with_name("t.csv.dvc").write_text("outs:\n- path: t.csv\n")


def _table_in_sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a int)")


special("pipe", os.mkfifo, Answer(refused=("not-a-file",)))
special("link to itself", lambda path: path.symlink_to(path), Answer(refused=("link-broken",)))
special("link to nothing", lambda p: p.symlink_to("none"), Answer(refused=("link-broken",)))
special("link to a device", lambda p: p.symlink_to("/dev/zero"), Answer(refused=("not-a-file",)))
special("empty folder", lambda path: path.mkdir(), Answer(refused=("folder-without-parquet",)))
special("no file", lambda path: None, Answer(refused=("file-missing",)))
special("no file beside its pointer", _with_pointer, Answer(refused=("file-missing",)))
special("SQLite file", _table_in_sqlite, Answer(refused=("sqlite-file",)))
special("Parquet named .csv", lambda path: FRAME.to_parquet(path), ALL)
special("Feather named .csv", lambda p: feather.write_feather(pa.Table.from_pandas(FRAME), p), ALL)
special(
    "Parquet broken off",
    lambda path: (parquet.write_table(pa.Table.from_pandas(FRAME), path), os.truncate(path, 900)),
    Answer(refused=("parquet-damaged",)),
)

# Missing cells


def sometimes(marker: str, else_: Cell = lambda draw, n: n % 50) -> Cell:
    """Return cells that are a marker in every fifth row."""
    return lambda draw, n: marker if n % 5 == 0 else else_(draw, n)


for marker in (
    "",
    "NA",
    "N/A",
    "n/a",
    "null",
    "None",
    "NaN",
    "?",
    "-",
    "unknown",
    "#N/A",
    "\\N",
    "nil",
):
    column("missing", f"{marker!r} among numbers", sometimes(marker), read_x("numeric", None))
for marker in ("NA", "None", "null"):
    words = sometimes(marker, lambda draw, n: f"w{n % 4}")
    column("missing", f"{marker!r} among words", words, Answer(warned=("missing-marker",)))
for marker in ("?", "unknown", "-"):
    words = sometimes(marker, lambda draw, n: f"w{n % 4}")
    column("missing", f"{marker!r} among words", words, Answer(warned=("missing-words",)))
column("missing", "-999", sometimes("-999"), Answer(warned=("sentinel-suspected",)))
column(
    "missing",
    "99 for ages",
    sometimes("99", lambda d, n: n % 9),
    Answer(warned=("sentinel-suspected",)),
)
column(
    "missing",
    "an odd cell among codes",
    lambda draw, n: "98033-6314" if n == 7 else 98000 + n % 60,
    Answer(rows=ROWS, warned=("mixed-types",)),
)
column("missing", "a column of nothing", lambda draw, n: "", Answer(warned=("empty-column",)))

# Numbers

NUMBERS: dict[str, tuple[Cell, float]] = {
    "with a unit": (lambda draw, n: f"{n}.5 kg", 3.5),
    "with a unit without a space": (lambda draw, n: f"{n}.5kg", 3.5),
    "Unicode minus": (lambda draw, n: f"−{n}.5", -3.5),
    "clock": (lambda draw, n: f"{n % 9}:30:00", 3.5 * 3600),
    "thousands as K": (lambda draw, n: f"{n}.2K", 3200.0),
    "a quote before": (lambda draw, n: f"'{n}.5", 3.5),
    "formula of Excel": (lambda draw, n: f'=""{n}.5""', 3.5),
    "dollars": (lambda draw, n: f"${n + 1000:,}.50", 1003.5),
    "euros behind": (lambda draw, n: f"{n}.50 €", 3.5),
    "percent": (lambda draw, n: f"{n}%", 3.0),
    "in brackets": (lambda draw, n: f"({n}.5)" if n % 2 else f"{n}.5", -3.5),
    "German": (lambda draw, n: f"1.{n:03d},5", 1003.5),
    "French": (lambda draw, n: f"1\u202f{n:03d},5", 1003.5),
    "Swiss": (lambda draw, n: f"1'{n:03d}.5", 1003.5),
    "scientific": (lambda draw, n: f"{n}.5e3", 3500.0),
    "full-width digits": (
        lambda draw, n: f"{n}".translate(str.maketrans("0123456789", "０１２３４５６７８９")),
        3.0,
    ),
    "a plus sign": (lambda draw, n: f"+{n}.5", 3.5),
    "spaces inside quotes": (lambda draw, n: f" {n}.5 ", 3.5),
}
for what, (make, number) in NUMBERS.items():
    column("number", what, make, read_x("numeric", number, 3))
BOUNDS = Answer(rows=ROWS, kinds={"x": "numeric"}, values={"x": (3, 3.0)})
column("number", "bounds", lambda d, n: ">400" if n % 50 == 9 else n % 400, BOUNDS)
column("number", "a few words", lambda d, n: "low" if n % 50 == 9 else n % 400, BOUNDS)
column(
    "number",
    "1e300",
    lambda d, n: "1e300" if n == 9 else n,
    Answer(rows=ROWS, quiet=("infinite-values",)),
)
column(
    "number", "infinity", lambda d, n: "inf" if n == 9 else n, Answer(warned=("infinite-values",))
)
column(
    "number",
    "two units",
    lambda d, n: f"{n} kg" if n % 2 else f"{n} lb",
    Answer(warned=("written-numbers", "mixed-types", "mixed-units")),
)

# Codes

column("code", "leading zeros", lambda d, n: f"{n % 40:05d}", read_x("categorical", "00003", 3))
column("code", "long integers", lambda d, n: 2**53 + 1 + n, Answer(rows=ROWS, warned=("id-like",)))
column("code", "numbers of rows", lambda d, n: n + 1, Answer(rows=ROWS, warned=("id-like",)))
column(
    "code",
    "policy numbers",
    lambda d, n: f"P-{n * 7919 % 100003:06d}",
    Answer(warned=("id-like", "many-levels")),
)
column("code", "one value", lambda d, n: "a", Answer(warned=("constant-column",)))
column("code", "yes and no", lambda d, n: "TRUE" if n % 3 else "FALSE", read_x("boolean", 0.0, 3))
column(
    "code",
    "one level in three spellings",
    lambda d, n: ["Rome", "rome", "ROME", "Oslo"][n % 4],
    Answer(warned=("level-spelling",)),
)

# Dates


def day(n: int) -> pd.Timestamp:
    """Return the day of a row."""
    return pd.Timestamp("2024-01-15") + pd.Timedelta(days=n % 100)


DATES = {
    "ISO": "%Y-%m-%d",
    "ISO with time": "%Y-%m-%dT%H:%M:%S",
    "ISO in UTC": "%Y-%m-%dT%H:%M:%SZ",
    "German": "%d.%m.%Y",
    "British": "%d/%m/%Y",
    "American": "%m/%d/%Y",
    "in words": "%B %d, %Y",
    "with the weekday": "%A, %B %d, %Y",
    "short month": "%d-%b-%Y",
    "slashes": "%Y/%m/%d",
    "without signs": "%Y%m%d",
}
for what, spelling in DATES.items():
    column("date", what, lambda d, n, f=spelling: day(n).strftime(f), read_x("date", day(3), 3))
column(
    "date",
    "with a zone's name",
    lambda d, n: day(n).strftime("%Y-%m-%d 10:00 CET"),
    read_x("date", day(3) + pd.Timedelta(hours=9), 3),
)
column(
    "date",
    "months",
    lambda d, n: day(n).strftime("%Y-%m"),
    read_x("date", pd.Timestamp("2024-01-01"), 3),
)
column(
    "date",
    "quarters",
    lambda d, n: f"2024-Q{n % 4 + 1}",
    read_x("date", pd.Timestamp("2024-10-01"), 3),
)
column(
    "date",
    "epoch seconds",
    lambda d, n: int(day(n).timestamp()) + 60 * n,
    read_x("date", day(3) + pd.Timedelta(minutes=3), 3),
)
column(
    "date",
    "epoch milliseconds",
    lambda d, n: 1000 * int(day(n).timestamp()) + n,
    read_x("date", day(3) + pd.Timedelta(milliseconds=3), 3),
)
column(
    "date",
    "day or month first",
    lambda d, n: f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/2024",
    Answer(warned=("date-ambiguous",)),
)
column(
    "date",
    "placeholder",
    lambda d, n: "1900-01-01" if n % 9 == 0 else day(n).date(),
    Answer(warned=("date-sentinel",)),
)
column(
    "date",
    "two spellings",
    lambda d, n: day(n).strftime("%Y-%m-%d" if n % 9 else "%d %b %Y"),
    Answer(warned=("mixed-types",)),
)
column(
    "date",
    "a day that does not exist",
    lambda d, n: "2024-02-30" if n == 9 else day(n).date(),
    Answer(warned=("mixed-types",)),
)

# Labels


def labelled(name: str, y: Cell, answer: Answer, **scope: object) -> None:
    """Add the plain table with other labels."""
    add("label", name, text_of(rows_of(y=y)), answer, **scope)


THIRD = ROWS // 3
for what, (no, yes) in {
    "0 and 1": ("0", "1"),
    "0.0 and 1.0": ("0.0", "1.0"),
    "-1 and 1": ("-1", "1"),
    "T and F": ("F", "T"),
    "TRUE and FALSE": ("FALSE", "TRUE"),
    "with spaces": (" no ", "yes"),
    "negative and positive": ("negative", "positive"),
}.items():
    labelled(
        what, lambda d, n, no=no, yes=yes: no if n % 3 else yes, Answer(rows=ROWS, positives=THIRD)
    )
labelled(
    "cases differ",
    lambda d, n: "no" if n % 3 else ["yes", "Yes", "YES"][n % 9 // 3],
    Answer(rows=ROWS, positives=THIRD),
)
labelled(
    "unnamed", lambda d, n: "red" if n % 3 else "blue", Answer(refused=("positive-ambiguous",))
)
labelled("three classes", lambda d, n: "abc"[n % 3], Answer(refused=("target-classes",)))
labelled("one class", lambda d, n: "yes", Answer(refused=("target-classes",)))
labelled("1 and blank", lambda d, n: "" if n % 3 else "1", Answer(refused=("target-classes",)))
labelled(
    "some are blank",
    lambda d, n: ["yes", "no", ""][n % 3],
    Answer(warned=("target-missing-values",)),
)
labelled(
    "NA is a label", lambda d, n: "NA" if n % 3 else "event", Answer(refused=("target-classes",))
)
labelled(
    "misspelt positive",
    lambda d, n: "yes" if n % 3 else "no",
    Answer(refused=("positive-missing",)),
    positive="ja",
)
labelled(
    "misspelt target",
    lambda d, n: "yes" if n % 3 else "no",
    Answer(refused=("target-missing",)),
    target="yy",
)
labelled(
    "few rows of a class", lambda d, n: "yes" if n < 3 else "no", Answer(refused=("few-labels",))
)
COPY = rows_of()
add(
    "label",
    "a copy among the columns",
    text_of([[age, plan, "A" if y == "yes" else "B", y] for age, plan, _, y in COPY]),
    Answer(warned=("target-copy", "leak"), refused=("target-copy",)),
)
