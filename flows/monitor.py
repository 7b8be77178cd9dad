"""MonitorFlow: evaluate each window of predictions, and send alerts.

Run it with `python flows/monitor.py run`.
"""

import bootstrap  # noqa: F401  # isort: skip  # sets the import path and Metaflow's settings; must come first
from cards import monitor as cards_monitor
from launch import launch, plainly
from metaflow import FlowSpec, Parameter, card, current, package_sources, schedule, step


# The schedule counts on Argo; elsewhere use cron or a systemd timer: docs/operation.md
@schedule(daily=True)
@package_sources("../lib/fivefold", suffixes=[".py"])
class MonitorFlow(FlowSpec):
    """Report drift, performance, warnings, refusals and latency, and decide on retraining."""

    problem = Parameter(
        "problem", default="", help="Name of the problem; default: the one promoted last"
    )
    days = Parameter("days", default=7.0, help="Length of a window in days")
    last = Parameter("last", default=4, help="How many of the newest windows are evaluated; 0: all")
    now = Parameter("now", default="", help="Evaluate as if it were this time (ISO 8601, UTC)")
    cooldown = Parameter("cooldown", default=23.0, help="Hours before the same alert is sent again")

    @plainly
    @step
    def start(self):
        """Choose the windows of the journal."""
        from fivefold.lifecycle import monitor_steps

        self.problem_name, self.time, self.windows = monitor_steps.plan(
            self.problem, self.days, self.last, self.now
        )
        self.next(self.judge)

    @plainly
    @card(type="blank", id="monitor")
    @step
    def judge(self):
        """Compare each window with the rows on which its model was chosen."""
        from fivefold.lifecycle import monitor_steps

        reports, decision = monitor_steps.evaluate(self.problem_name, self.windows, self.time)
        events = monitor_steps.events_until(self.problem_name, self.time)
        self.reports = [report.to_dict() for report in reports]
        self.decided = decision.to_dict()
        self.events = [event.to_dict() for event in events]
        current.card["monitor"].extend(
            cards_monitor.monitor_components(self.problem_name, reports, decision, events)
        )
        self.next(self.act)

    @plainly
    @step
    def act(self):
        """Send the alerts, and purge what the scope no longer keeps."""
        from fivefold.lifecycle import monitor_steps

        alerts, self.purged = monitor_steps.act(
            self.problem_name,
            monitor_steps.from_artifact(self.reports),
            self.time,
            self.cooldown,
            simulated=bool(self.now),
        )
        self.alerts = [alert.to_dict() for alert in alerts]
        self.next(self.end)

    @step
    def end(self):
        """Say what came out."""
        from fivefold.lifecycle import monitor_steps

        self.closing = monitor_steps.closing_words(
            self.problem_name,
            monitor_steps.from_artifact(self.reports),
            self.decided,
            len(self.alerts),
        )


if __name__ == "__main__":
    launch(MonitorFlow)
