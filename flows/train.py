"""TrainFlow: train and evaluate models on a table, choose one and record it.

`python flows/train.py run --help` lists the options.
"""

import time

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first
from cards import evaluation as evaluation_card
from cards import train as cards
from cards.live import Live
from launch import is_mirrored_after, launch, plainly, set_artifacts
from metaflow import (
    Config,
    FlowSpec,
    Parameter,
    card,
    catch,
    current,
    package_sources,
    retry,
    step,
    timeout,
)

OPTIONS = (
    "data",
    "query",
    "target",
    "positive",
    "id_columns",
    "drop",
    "group",
    "data_rev",
    "trials",
    "budget",
    "folds",
    "seed",
    "threads",
    "synthetic_rows",
    "serve",
    "refit",
    "device",
    "with_feedback",
)
KEPT_AFTER_SEARCH = [
    "first_run_id",
    "started",
    "user",
    "options",
    "problem",
    "source",
    "table",
    "findings",
    "labels",
    "place",
    "origin",
    "contract",
    "typed",
    "searched",
    "split_findings",
    "weights",
    "before_arms",
    "preparing",
]


# What the tasks import, in the order of need (`warm`).
MODULES = (
    "metaflow",
    "pandas",
    "fivefold.training.steps",
    "fivefold.training.intake",
    "scipy.stats",
    "sklearn.model_selection",
    "fivefold.training.search",
    "sklearn.ensemble",
    "lightgbm",
    "xgboost",
    "optuna",
    "altair",
    "fivefold.charts.table",
    "fivefold.charts.model",
    "fivefold.training.finalize",
    "fivefold.lifecycle.publish",
)


@package_sources("../lib/fivefold", suffixes=[".py"])
class TrainFlow(FlowSpec):
    """Train, tune and compare five algorithms on one table, and record the best by ROC AUC."""

    scope = Config(
        "scope",
        default_value="",
        parser="fivefold.core.scope.loads",
        help="TOML file: the business problem",
    )
    data = Parameter(
        "data", default="", help="file, folder of Parquet files, http(s) address or database URL"
    )
    query = Parameter(
        "query", default="", help="SELECT or table name of a database, sheet of a workbook"
    )
    target = Parameter("target", default="", help="Column to predict")
    positive = Parameter("positive", default="", help="Label of the event to predict")
    id_columns = Parameter(
        "id-columns", default="", help="Comma-separated columns that identify rows"
    )
    drop = Parameter("drop", default="", help="Comma-separated columns to leave out")
    group = Parameter(
        "group",
        default="",
        help="Column whose equal values are one case, kept on one side of every split; none: every "
        "row is a case of its own",
    )
    data_rev = Parameter("data-rev", default="", help="DVC/Git revision of the data to train on")
    trials = Parameter(
        "trials",
        default=bootstrap.TRIALS,
        help="Trials of an algorithm (reproducible); a sixth for AdaBoost and forest",
    )
    budget = Parameter(
        "budget", default=0, help="Seconds for the whole run instead of --trials; 0: no limit"
    )
    folds = Parameter(
        "folds",
        default=0,
        help="Folds of the cross-validation; 0: 5, or 3 on more than 62,500 rows",
    )
    seed = Parameter("seed", default=0, help="Seed of everything random")
    threads = Parameter("threads", default=1, help="Threads of one search")
    serve = Parameter(
        "serve",
        default="auto",
        help="single: the winner, blend: a mean of the algorithms, auto: by gain, "
        "plain: the plain logistic regression",
    )
    refit = Parameter(
        "refit",
        default="auto",
        help="Serve the model fitted again with the held-out rows: yes, no, "
        "or auto: under a budget, on tables of up to 50,000 rows",
    )
    device = Parameter(
        "device", default="cpu", help="cuda: boosted models on a GPU, where there is one"
    )
    with_feedback = Parameter(
        "with-feedback", default=False, type=bool, help="Learn also from labelled predictions"
    )
    synthetic_rows = Parameter(
        "synthetic-rows", default=0, help="Synthetic rows added to each training fold"
    )
    mlflow_uri = Parameter(
        "mlflow-uri", default="", help="MLflow server; default: MLFLOW_TRACKING_URI or SQLite"
    )

    @plainly
    @step
    def start(self):
        """Read the table and note where it came from."""
        from fivefold.core.clock import timestamp
        from fivefold.training import intake, steps

        self.first_run_id, self.started, self.user = current.run_id, timestamp(), current.username
        self.options = {name: getattr(self, name) for name in OPTIONS}
        self.workers = bootstrap.workers()
        print("Should this run be cut off: python flows/train.py resume")
        intake.check_options(self.options)
        scope = intake.resolve_scope(
            self.scope.to_dict(),
            bootstrap.ROOT,
            bootstrap.SCOPE_FOLDER,
            data=self.data,
            query=self.query,
            target=self.target,
            positive=self.positive,
            id_columns=self.id_columns,
            drop_columns=self.drop,
            group_column=self.group,
        )
        set_artifacts(
            self,
            steps.collect(scope, bootstrap.ROOT, self.data_rev, self.budget, self.with_feedback),
        )
        self.next(self.validate)

    @plainly
    @step
    def validate(self):
        """Refuse a table that cannot be used for training, with all reasons at once."""
        from fivefold.training import steps

        set_artifacts(self, steps.validate(self))
        self.next(self.split, self.eda)

    @plainly
    @step
    def split(self):
        """Split the rows into held-out rows and folds, and infer the input contract."""
        from fivefold.training import steps

        set_artifacts(self, steps.split(self))
        self.before_arms = steps.seconds_gone(bootstrap.STARTED, self.started)
        self.arms = steps.algorithms(self, bootstrap.workers())
        self.next(self.tune, foreach="arms")

    @catch(var="failure", print_exception=False)
    @timeout(hours=12)
    @retry(times=1, minutes_between_retries=0)
    @card(type="blank", id="arm", refresh_interval=10)
    @step
    def tune(self):
        """Search the best settings of one algorithm; each trial is kept as it finishes."""
        from fivefold.training import steps
        from fivefold.training.candidate import Candidate

        live = Live(current.card["arm"], self.input)
        budget = steps.time_budget(self, bootstrap.workers())
        gone = steps.seconds_gone(bootstrap.STARTED, self.started)
        seconds = budget.for_search(gone, self.arms[self.index :])
        storage = self._datastore._storage_impl
        self.candidate, self.oof = steps.tune(self, storage, live.report, seconds) or ({}, None)
        if self.candidate:
            live.finish(Candidate.from_dict(self.candidate))
        self.ended = time.time()
        self.next(self.select)

    @plainly
    @card(type="blank", id="leaderboard")
    @step
    def select(self, inputs):
        """Choose the winner by mean ROC AUC over the folds, without the held-out rows."""
        from fivefold.core.findings import from_dicts
        from fivefold.model.doubts import doubts
        from fivefold.training import final_steps, steps
        from fivefold.training.ensemble import Ensemble
        from fivefold.training.leaderboard import Leaderboard

        self.merge_artifacts(inputs, include=KEPT_AFTER_SEARCH)
        ended = max(getattr(task, "ended", 0.0) for task in inputs)
        budget = steps.time_budget(self, bootstrap.workers()).after(time.time() - ended)
        gone = steps.seconds_gone(bootstrap.STARTED, self.started)
        selected = final_steps.select(
            self,
            inputs,
            budget.for_final_fits(gone),
            max(self.threads, bootstrap.workers()),
            budget.refit,
        )
        set_artifacts(self, selected)
        board, blend = Leaderboard.from_dicts(self.leaderboard), Ensemble.from_dict(self.blend)
        doubted = doubts(from_dicts(self.findings))
        components = cards.leaderboard_components(board, blend, doubted, current.run_id)
        current.card["leaderboard"].extend(components)
        self.next(self.evaluate)

    @plainly
    @card(type="blank", id="evaluation")
    @step
    def evaluate(self):
        """Fit the winner, evaluate it once on the held-out rows, and refit it if asked."""
        from fivefold.training import final_steps

        threads = max(self.threads, bootstrap.workers())
        evaluated, metadata = final_steps.evaluate(self, current.run_id, threads)
        set_artifacts(self, evaluated)
        self.result = final_steps.result_lines(self)
        current.card["evaluation"].extend(evaluation_card.components(metadata))
        self.next(self.record)

    @plainly
    @card(type="blank", id="eda")
    @step
    def eda(self):
        """Report on the whole table, beside the training: nothing here influences the model."""
        from fivefold.tracking import client
        from fivefold.training import steps

        earlier = client.earlier_summary(self.source["source"], current.run_id)
        self.summary, self.changes = steps.explore(self, earlier)
        current.card["eda"].extend(cards.eda_components(self.summary, self.changes))
        self.next(self.record)

    @plainly
    @step
    def record(self, inputs):
        """Serve a first model, and mirror the run to MLflow if no launcher does so afterwards."""
        from fivefold.core.clock import timestamp
        from fivefold.lifecycle import publish

        self.merge_artifacts(inputs)
        self.finished = timestamp()
        pathspec = f"{current.flow_name}/{current.run_id}"
        self.promotion = publish.promote_first(self, pathspec, bootstrap.ROOT)
        if not is_mirrored_after(self):
            mirrored = publish.mirror(self, pathspec, self.mlflow_uri, bootstrap.ROOT)
            self.mlflow = mirrored.to_dict()
        self.next(self.end)

    @step
    def end(self):
        """Print the result and what to type next."""
        from fivefold.core.settings import mlflow_uri
        from fivefold.training import closing

        pathspec = f"{current.flow_name}/{current.run_id}"
        uri = mlflow_uri(self.mlflow_uri, bootstrap.ROOT)
        self.closing = closing.closing_text(self, pathspec, bootstrap.STORE, uri)


def mirror_in_background(run) -> str:
    """Start the MLflow mirror of a run that has ended, and return what to say about it."""
    from fivefold.tracking import background_mirror

    return background_mirror.start(run, bootstrap.ROOT)


def tell_resumed(run_id: str) -> str:
    """Return what a resumed run takes over, and what has changed since the run before."""
    from fivefold.training import resumed

    return resumed.resume_text(run_id, bootstrap.ROOT)


if __name__ == "__main__":
    launch(
        TrainFlow,
        flags=("--with-feedback",),
        modules=MODULES,
        after=mirror_in_background,
        before_resume=tell_resumed,
    )
