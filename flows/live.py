"""The live card of one arm: a progress bar, the best score so far, and lines for the log."""

from __future__ import annotations

from typing import Any

from metaflow.cards import Markdown, ProgressBar, Table, VegaChart


class Live:
    """Shows a search while it runs. `report` takes what `lib.tuning.tune` tells after each fold."""

    def __init__(self, card: Any, name: str):
        self.card, self.name = card, name
        self.points: list[dict[str, Any]] = []
        self.bar: Any = None
        self.chart = VegaChart(_spec([]))

    def report(self, state: dict[str, Any]) -> None:
        """Move the bar after each fold; after each trial print a line and redraw the curve."""
        known = state["of"] < 10_000  # under a budget nobody knows how many trials there will be
        if self.bar is None:
            most = state["of"] * state["folds"] if known else state["folds"]
            self.bar = ProgressBar(max=most, label=self.name, unit="fits")
            for component in (Markdown("# Search"), self.bar, self.chart):
                self.card.append(component)
        done = state["trial"] * state["folds"] * known + state["fold"]
        self.bar.update(done, metadata=f"trial {state['trial'] + 1}, best {_score(state['best'])}")
        if state["fold"] == state["folds"]:
            self._trial(state["trial"], state["auc"], f"/{state['of']}" if known else "")
        self.card.refresh({"done": done, "trial": state["trial"]})

    def finish(self, candidate: dict[str, Any]) -> None:
        """The final table; pruned trials are listed too, and trials taken over from a killed task."""
        rows = [[t["number"] + 1, t["state"], _score(t["auc"]), f"{t['seconds']:.1f}", str(t["params"])]
                for t in sorted(candidate["trials"], key=lambda t: (t["state"] != "complete", -t["auc"]))]
        self.points = [{"trial": t["number"] + 1, "auc": t["auc"]} for t in candidate["trials"] if t["state"] == "complete"]
        self.chart.update(_spec(self.points))
        if self.bar is None:
            self.card.append(self.chart)
        self.card.append(Markdown(f"Best mean ROC AUC over the folds: **{_score(candidate['auc_mean'])}**"))
        self.card.append(Table(rows, headers=["trial", "state", "ROC AUC", "seconds", "parameters"]))
        print(f"{self.name}: best {_score(candidate['auc_mean'])} of {len(candidate['trials'])} trials "
              f"in {candidate['seconds']:.0f} s", flush=True)

    def _trial(self, number: int, auc: float, of: str) -> None:
        self.points.append({"trial": number + 1, "auc": auc})
        self.chart.update(_spec(self.points))
        best = max(point["auc"] for point in self.points)
        print(f"{self.name}: trial {number + 1}{of} ROC AUC {_score(auc)} best {_score(best)}", flush=True)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _spec(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Vega-Lite as plain data: importing Altair would cost every arm a third of a second."""
    best, rows = 0.0, []
    for point in points:
        best = max(best, point["auc"])
        rows.append({**point, "best": best})
    x = {"field": "trial", "type": "quantitative", "title": "trial", "axis": {"tickMinStep": 1}}
    y = {"type": "quantitative", "scale": {"zero": False}, "title": "mean ROC AUC over the folds"}
    tooltip = [{"field": "trial"}, {"field": "auc", "format": ".4f"}, {"field": "best", "format": ".4f"}]
    return {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "width": 480, "height": 220,
            "title": "Best score so far", "data": {"values": rows}, "layer": [
                {"mark": {"type": "point", "filled": True, "color": "#999999", "size": 40},
                 "encoding": {"x": x, "y": {**y, "field": "auc"}, "tooltip": tooltip}},
                {"mark": {"type": "line", "interpolate": "step-after", "color": "#0072B2"},
                 "encoding": {"x": x, "y": {**y, "field": "best"}, "tooltip": tooltip}}]}
