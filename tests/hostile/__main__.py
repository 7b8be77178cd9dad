"""Print how many hostile tables are answered right, unclearly and silently wrong, by kind."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

from tests.hostile.corpus import CASES
from tests.hostile.judge import RIGHT, VERDICTS, Verdict, judge


def score(verdicts: list[Verdict]) -> str:
    """Return a table of the verdicts by kind, then each one that is not right."""
    counts = Counter((v.case.kind, v.verdict) for v in verdicts)
    kinds = list(dict.fromkeys(v.case.kind for v in verdicts))
    lines = ["| kind | tables | right | unclear | silently wrong |", "|---|---|---|---|---|"]
    for kind in [*kinds, "all"]:
        chosen = kinds if kind == "all" else [kind]
        numbers = [sum(counts[k, verdict] for k in chosen) for verdict in VERDICTS]
        lines.append(f"| {kind} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    wrong = [v for v in verdicts if v.verdict != RIGHT]
    lines += [f"{v.verdict}: {v.case.kind}, {v.case.name}: {v.why}" for v in wrong]
    return "\n".join(lines)


def main() -> None:
    """Judge all tables, or those of the kinds that are named."""
    warnings.simplefilter("ignore")
    kinds = sys.argv[1:]
    verdicts = []
    for case in CASES:
        if not kinds or case.kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                verdicts.append(judge(case, Path(folder)))
    print(score(verdicts))


if __name__ == "__main__":
    main()
