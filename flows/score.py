"""ScoreFlow: score a table with a trained model.

`python flows/score.py run --data new.csv --out scored.csv`.
"""

import re
import sys
from pathlib import Path

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first
from cards import score as cards_score
from launch import launch, plainly
from metaflow import FlowSpec, Parameter, card, current, package_sources, retry, step

KEPT = (
    *("model", "bundle", "bundle_sha256", "line", "why", "threshold"),
    *("place", "parts", "source", "findings"),
)


@package_sources("../lib/fivefold", suffixes=[".py"])
class ScoreFlow(FlowSpec):
    """Probability, decision and warnings for every row, or the reason why it has none.

    The table is cut into shards, which are scored side by side, so that it may be larger than
    memory.
    """

    data = Parameter(
        "data", required=True, help="file, folder of Parquet files, http(s) address or database URL"
    )
    query = Parameter(
        "query", default="", help="SELECT or table name of a database, sheet of a workbook"
    )
    out = Parameter("out", default="scored.csv", help="CSV or Parquet file to write")
    train_run = Parameter(
        "train-run",
        default="",
        help="Training run whose model scores (also --run-id); default: the "
        "promoted model, else the latest finished run",
    )
    problem = Parameter(
        "problem",
        default="",
        help="Name of the problem whose promoted model scores; default: the one promoted last",
    )
    shard_rows = Parameter(
        "shard-rows", default=100_000, help="Rows that are in memory at a time, in each task"
    )
    record = Parameter("record", default=True, help="False: leave the rows out of the journal")

    explain = Parameter(
        "explain",
        default=False,
        help="True: a column of reasons, the highest probabilities first, for at most 1,000 rows "
        "and in at most 5 minutes",
    )

    @plainly
    @step
    def start(self):
        """Choose the model, cut the table, and check table and output."""
        from fivefold.model.bundle import from_bytes
        from fivefold.serving import batch, result_files, steps

        out = result_files.check_out(self.out).absolute()
        chosen = steps.choose_model(self.train_run, self.record, self.problem)
        self.model, self.why, self.line = chosen.pathspec, chosen.why, chosen.promotion
        self.bundle, self.bundle_sha256 = chosen.bundle, chosen.sha256
        self.place = str(out)
        bundle = from_bytes(self.bundle, self.bundle_sha256, with_model=False)
        self.threshold = self.line["threshold"] if self.line else bundle.metadata.threshold.value
        self.parts, self.findings = steps.prepare(
            self.data,
            self.query,
            out,
            current.run_id,
            self.shard_rows,
            bundle,
            current.origin_run_id,
            self.explain,
        )
        self.source = {key: self.parts[key] for key in ("source", "md5", "rows")}
        numbers = len(self.parts["parts"])
        most = min(steps.MAX_SHARDS, 2 * bootstrap.workers())
        self.shards = batch.groups(numbers, most)
        print(f"{self.parts['rows']:,} rows in {numbers} parts for {self.model} ({self.why})")
        self.next(self.score, foreach="shards")

    @retry(times=1, minutes_between_retries=0)
    @plainly
    @step
    def score(self):
        """Score the parts of one shard and record them in the journal."""
        from fivefold.serving import steps

        self.tallies = steps.score(
            self.parts,
            self.input,
            self.bundle,
            self.bundle_sha256,
            self.line,
            self.place,
            self.record,
            self.explain,
        )
        self.next(self.join)

    @plainly
    @card(type="blank", id="scored")
    @step
    def join(self, inputs):
        """Write one file, with the rows in the order of the table."""
        from fivefold.serving import steps

        self.merge_artifacts(inputs, include=list(KEPT))
        tallies = [tally for shard in inputs for tally in shard.tallies]
        tally = steps.gather(self.parts, tallies, self.place)
        self.tally = tally.to_dict()
        self.closing = steps.closing(tally, self.model, self.why, self.out, self.explain)
        facts = {
            **self.source,
            "written to": self.place,
            "model": self.model,
            "chosen": self.why,
            "threshold": f"{self.threshold:.6g}",
            "bundle": self.bundle_sha256,
        }
        components = cards_score.scored_components(tally, facts, self.threshold)
        current.card["scored"].extend(components)
        self.next(self.end)

    @step
    def end(self):
        """Remove the parts."""
        from fivefold.data.reading.table_parts import remove_parts

        remove_parts(Path(self.parts["folder"]))


if __name__ == "__main__":
    if (
        "run" in sys.argv
    ):  # Metaflow keeps the name --run-id for itself; `resume --run-id` is its own
        sys.argv = [re.sub("^--run-id(?==|$)", "--train-run", word) for word in sys.argv]
    launch(ScoreFlow)
