"""ScoreFlow: score a table with a finished run's model. `python flows/score.py run --data new.csv --out scored.csv`."""

import re
import sys

import bootstrap  # noqa: F401  # isort: skip  # sets the import path and Metaflow's settings; must come first
from launch import launch, plainly
from metaflow import FlowSpec, Parameter, package_sources, step


@package_sources("../lib", suffixes=[".py"])
class ScoreFlow(FlowSpec):
    """Probability, decision and warnings for every row; rows that cannot be scored come back with the reason."""

    data = Parameter("data", required=True, help="CSV, TSV, Parquet, Feather, folder, http(s) or database URL")
    query = Parameter("query", default="", help="SELECT or table name, for a database URL")
    out = Parameter("out", default="scored.csv", help="CSV or Parquet file to write")
    train_run = Parameter("train-run", default="", help="Training run whose model scores (also --run-id); default: the "
                          "latest finished one")

    @plainly
    @step
    def start(self):
        """Choose the model and see that the result can be written, before any work."""
        from lib import runs, scoring

        scoring.check_out(self.out)
        run = runs.find_run(self.train_run or None)
        self.model, (self.bundle, self.bundle_sha256) = run.pathspec, runs.bundle_of(run)
        self.next(self.score)

    @plainly
    @step
    def score(self):
        """Score and write."""
        from lib import bundle, scoring, sources, stages

        table = sources.read(self.data, query=self.query or None)
        scored, findings = scoring.score_table(bundle.from_bytes(self.bundle, self.bundle_sha256), table.frame)
        scoring.write(scored, scoring.check_out(self.out))
        self.source, self.tally = {"source": table.source, "md5": table.md5, "rows": table.rows}, scoring.tally(scored)
        self.findings = [f.to_dict() for f in (*table.findings, *findings)]
        stages.tell_warnings(findings)
        self.next(self.end)

    @step
    def end(self):
        """Say what came out."""
        told = self.tally
        self.closing = (
            f"{told['scored']:,} of {told['rows']:,} rows scored by {self.model} into {self.out}: {told['decisions']}\n"
            f"{told['with_warnings']:,} rows with warnings, {told['refused']:,} rows that could not be scored")


if __name__ == "__main__":
    if "run" in sys.argv:  # Metaflow keeps the name --run-id for itself; `resume --run-id` stays its own
        sys.argv = [re.sub("^--run-id(?==|$)", "--train-run", word) for word in sys.argv]
    launch(ScoreFlow)
