"""RetrainFlow: a new model when the monitor asks for one. `python flows/retrain.py run`.

It trains on the old table and the labels that came in, then compares the new model with the
champion (`flows/promote.py challenge`). It does nothing if nothing is due.
"""

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first
from launch import launch, plainly
from metaflow import FlowSpec, Parameter, package_sources, step, trigger_on_finish


@trigger_on_finish(flow="MonitorFlow")  # counts on Argo; elsewhere it has no effect
@package_sources("../lib/fivefold", suffixes=[".py"])
class RetrainFlow(FlowSpec):
    """Train a challenger if the monitor asks for one, and compare it with the champion."""

    problem = Parameter(
        "problem", default="", help="Name of the problem; default: the one promoted last"
    )
    force = Parameter(
        "force", default=False, type=bool, help="Retrain even if the monitor does not ask for it"
    )
    approval = Parameter(
        "require-approval",
        default=False,
        type=bool,
        help="A model that is proven better waits for a person's yes",
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
        """Train a challenger if one is due, and compare it with the champion."""
        from fivefold.lifecycle import retrain

        self.closing = retrain.retrain(
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
        """End; the artifact `closing` says what came out."""


if __name__ == "__main__":
    launch(RetrainFlow, flags=("--force", "--require-approval"))
