"""Single cases as plain data, tables and requests."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fivefold.data.coerce import coerce_table
from fivefold.model.case import curl, plain, python, raw_table, request_body, typed_table
from tests.support.models import bundle_of
from tests.support.tables import prepared

NASTY = """it's "quoted" $HOME `id` \\ <b>é</b> \n new'''"""


def test_plain_and_typed_are_inverse_for_every_kind_and_gap():
    typed, _, _, schema = prepared(400)
    rows = [
        {n: plain(schema[n], typed[n].iloc[i]) for n in schema.names()} for i in range(len(typed))
    ]
    pd.testing.assert_frame_equal(
        typed_table(rows, schema), typed[schema.names()].reset_index(drop=True)
    )
    assert json.loads(json.dumps(rows)) == rows


def test_dates_are_read_whatever_the_contract_writes_them_like():
    dates = pd.Series(
        [f"{d:02d}/{m:02d}/2021" for m in range(1, 9) for d in (3, 13, 23)], dtype="str"
    )
    bundle = bundle_of(
        pd.DataFrame({"seen": dates, "n": np.arange(24.0)}), lambda x: np.full(len(x), 0.5)
    )
    column = bundle.schema["seen"]
    assert (column.kind, column.parse["format"]) == ("date", "%d/%m/%Y")
    case = {"seen": "2021-02-03", "n": 4.0}
    assert coerce_table(raw_table(case, bundle.schema), bundle.schema)[0]["seen"].iloc[
        0
    ] == pd.Timestamp("2021-02-03")
    body = request_body(case, bundle.schema)
    assert body == {"rows": [{"seen": "03/02/2021", "n": 4.0}]}
    assert coerce_table(pd.DataFrame(body["rows"]), bundle.schema)[0]["seen"].iloc[
        0
    ] == pd.Timestamp("2021-02-03")


@pytest.mark.parametrize("value", [NASTY, "", "-- ; rm", "'"])
def test_both_programs_send_exactly_the_body(value, tmp_path):
    body = {"rows": [{"name": value, "n": 1.5, "gap": None}]}
    seen = tmp_path / "seen"
    catcher = tmp_path / "curl"
    catcher.write_text(f'#!/bin/sh\nfor word; do last=$word; done\nprintf %s "$last" > {seen}\n')
    catcher.chmod(0o755)
    subprocess.run(
        ["sh", "-c", curl(body, "http://127.0.0.1:1/predict")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
    )
    assert json.loads(seen.read_text()) == body
    program = (
        python(body, "http://127.0.0.1:1/predict").split("request =")[0] + "print(json.dumps(body))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == body
