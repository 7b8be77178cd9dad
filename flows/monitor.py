"""MonitorFlow: judge what the journal holds, window by window, and tell people. `python flows/monitor.py run`."""

import bootstrap  # noqa: F401  # isort: skip  # sets the import path and Metaflow's settings; must come first
from cards import monitor as cards_monitor
from launch import launch, plainly
from metaflow import FlowSpec, Parameter, card, current, package_sources, schedule, step


@schedule(
    daily=True
)  # where the engine has a clock (Argo); elsewhere cron or a systemd timer: docs/operation.md
@package_sources("../lib/fivefold", suffixes=[".py"])
class MonitorFlow(FlowSpec):
    """Drift, performance with and without labels, warnings, refusals and latency; alerts; whether to retrain."""

    problem = Parameter(
        "problem", default="", help="Name of the problem; default: the one promoted last"
    )
    days = Parameter("days", default=7.0, help="Length of a window in days")
    last = Parameter("last", default=4, help="How many of the newest windows are judged; 0: all")
    now = Parameter("now", default="", help="Judge as if it were this time (ISO 8601, UTC)")
    cooldown = Parameter("cooldown", default=23.0, help="Hours before the same alert is sent again")

    @plainly
    @step
    def start(self):
        """Say what is judged: the windows of the journal."""
        from fivefold.lifecycle import steps

        self.problem_name, self.time, self.windows = steps.plan(
            self.problem, self.days, self.last, self.now
        )
        self.next(self.judge)

    @plainly
    @card(type="blank", id="monitor")
    @step
    def judge(self):
        """Judge each window against the rows on which its model was chosen."""
        from fivefold.lifecycle import steps

        self.reports, self.decided, self.told, self.events = steps.judge(
            self.problem_name, self.windows, self.time
        )
        current.card["monitor"].extend(
            cards_monitor.monitor_components(
                self.problem_name, self.reports, self.decided, self.events
            )
        )
        self.next(self.act)

    @plainly
    @step
    def act(self):
        """Send what a person should hear of, and forget what the scope no longer keeps."""
        from fivefold.lifecycle import steps

        self.alerts, self.purged = steps.act(
            self.problem_name, self.reports, self.told, self.time, self.cooldown, bool(self.now)
        )
        self.next(self.end)

    @step
    def end(self):
        """Say what came out."""
        from fivefold.lifecycle import steps

        self.closing = steps.closing_words(
            self.problem_name, self.reports, self.decided, self.alerts
        )


if __name__ == "__main__":
    launch(MonitorFlow)
