"""What is served, and changing it: `python flows/promote.py status | promote | challenge | approve | decline | rollback |
threshold`. Every change is a line of an append-only table; the app and the API follow within seconds.
"""

import argparse
import getpass
import sys

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first


CHALLENGE = ("challenge", "judge")  # judge: the old name


def main() -> int:
    """Do one of the commands; exit code 1 with the reasons where it is refused, 2 for a challenger that lost."""
    from fivefold.core import settings
    from fivefold.core.findings import Refused
    from fivefold.journal import database, promotions

    options = _parser().parse_args()
    try:
        engine = database.open_journal(settings.journal_url())
        problem = options.problem or promotions.newest_problem(engine) or ""
        if options.do == "status":
            return _status(engine, problem)
        if options.do == "mirror":
            held = promotions.history(engine, problem)
            return _mirror(engine, held[0]) if held else _status(engine, problem)
        line = _do(options, engine, problem)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(f"{line.action}: {line.model} at threshold {line.threshold:.4g}. {line.why}")
    _mirror(engine, line)
    return (
        2
        if options.do in CHALLENGE and line.action in (promotions.KEPT, promotions.OVERTAKEN)
        else 0
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--problem", default="", help="name of the problem; default: the one promoted last"
    )
    parser.add_argument(
        "--who", default=getpass.getuser(), help="who decides; default: the user of this machine"
    )
    parser.add_argument("--why", default="", help="the reason, for the record")
    commands = parser.add_subparsers(dest="do", required=True)
    commands.add_parser("status", help="what is served and what was decided")
    commands.add_parser("mirror", help="set the tags of Metaflow and the aliases of MLflow again")
    commands.add_parser("promote", help="serve a run's model without a comparison").add_argument(
        "run"
    )
    challenge = commands.add_parser(
        "challenge", aliases=["judge"], help="compare a run's model with the one served"
    )
    challenge.add_argument("run")
    challenge.add_argument(
        "--margin", type=float, default=0.0, help="ROC AUC that the gain's lower bound must exceed"
    )
    challenge.add_argument(
        "--require-approval", action="store_true", help="wait for a person's yes"
    )
    commands.add_parser("approve", help="serve the challenger that waits")
    commands.add_parser("decline", help="do not")
    commands.add_parser("rollback", help="serve again what was served before")
    commands.add_parser("threshold", help="decide at another threshold").add_argument(
        "value", type=float
    )
    for command in set(
        commands.choices.values()
    ):  # also after the command, where people write them
        for name in ("--problem", "--who", "--why"):
            command.add_argument(name, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _do(options: argparse.Namespace, engine: object, problem: str) -> dict:
    if options.do == "rollback":
        from fivefold.lifecycle.decisions import roll_back

        return roll_back(engine, problem, options.who, options.why or "rolled back by hand")
    if options.do == "threshold":
        from fivefold.lifecycle.decisions import change_threshold

        return change_threshold(
            engine, problem, options.value, options.who, options.why or "changed by hand"
        )
    if options.do in ("approve", "decline"):
        from fivefold.lifecycle.decisions import decide

        return decide(engine, problem, options.do == "approve", options.who, options.why)
    from fivefold.lifecycle import promotion

    run_id = options.run.rpartition("/")[2]
    if options.do == "promote":
        return promotion.promote(engine, run_id, options.who, options.why or "promoted by hand")
    return promotion.challenge_champion(
        engine,
        run_id,
        bootstrap.ROOT,
        who=options.who,
        margin=options.margin,
        require_approval=options.require_approval,
    )


def _status(engine: object, problem: str) -> int:
    from fivefold.journal import promotions

    lines = promotions.history(engine, problem)
    if not lines:
        print(
            "Nothing is promoted yet. A first model that meets its scope promotes itself: python flows/train.py run"
        )
        return 0
    held = promotions.champion(engine, problem)
    print(
        f"Problem {problem}: "
        + (f"serving {held.model} at threshold {held.threshold:.4g}" if held else "nothing served")
    )
    if promotions.waiting(engine, problem):
        print("A challenger waits: python flows/promote.py approve | decline")
    for line in lines:
        mark = "*" if held and line.seq == held.seq else " "
        print(
            f"{mark} {line.seq:>4}  {line.at:%Y-%m-%d %H:%M} UTC  {line.action:11} {line.model:28} "
            f"threshold {line.threshold:.4g}  {line.who}: {line.why}"
        )
    return 0


def _mirror(engine: object, line: dict) -> int:
    from fivefold.lifecycle import promotion_mirror

    warnings = promotion_mirror.mirror(engine, line, bootstrap.ROOT)
    for warning in warnings:
        print(f"warning: {warning}")
    return int(bool(warnings))


if __name__ == "__main__":
    sys.exit(main())
