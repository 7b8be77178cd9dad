"""RetrainFlow: a new model when the monitor asks for one. `python flows/retrain.py run`.

Trains on the old table and the labels that came in, then lets the new model prove itself (`flows/promote.py challenge`).
Does nothing where nothing is due.
"""

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first
from launch import launch, plainly
from metaflow import FlowSpec, Parameter, package_sources, step, trigger_on_finish


@trigger_on_finish(
    flow="MonitorFlow"
)  # where the engine has events (Argo); elsewhere it says nothing
@package_sources("../lib/fivefold", suffixes=[".py"])
class RetrainFlow(FlowSpec):
    """Train a challenger where the monitor asks for one, and judge it."""

    problem = Parameter(
        "problem", default="", help="Name of the problem; default: the one promoted last"
    )
    force = Parameter(
        "force", default=False, type=bool, help="Retrain also where the monitor does not ask for it"
    )
    approval = Parameter(
        "require-approval",
        default=False,
        type=bool,
        help="A model that has proven itself waits for a person's yes",
    )
    margin = Parameter(
        "margin", default=0.0, help="ROC AUC that the gain's lower bound must exceed"
    )
    now = Parameter("now", default="", help="Decide as if it were this time (ISO 8601, UTC)")
    options = Parameter(
        "options", default="", help='Options of train.py in one text, such as "--budget 120"'
    )

    @plainly
    @step
    def start(self):
        """Train and judge, where it is due."""
        from fivefold.lifecycle import retrain

        self.told = retrain.retrain(
            bootstrap.ROOT,
            self.problem,
            force=self.force,
            now=self.now,
            margin=self.margin,
            require_approval=self.approval,
            options=self.options,
        )
        self.next(self.end)

    @step
    def end(self):
        """Say what came out."""
        self.closing = self.told["why"]


if __name__ == "__main__":
    launch(RetrainFlow, flags=("--force", "--require-approval"))
