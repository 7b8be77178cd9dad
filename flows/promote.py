"""Show or change what is served: `python flows/promote.py COMMAND`.

Commands: status, promote, challenge, approve, decline, rollback, threshold, acknowledge, mirror.
Every change is a row of an append-only table; the app and the API follow within seconds.
"""

import argparse
import getpass
import sys

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first


CHALLENGE, OLD_NAME = "challenge", "judge"


def main() -> int:
    """Run one command and return the exit code: 1 if refused, 2 if a challenger lost."""
    from fivefold.core import settings
    from fivefold.core.findings import Refused
    from fivefold.journal import database, promotions
    from fivefold.tracking import mirror_outcome

    options = _parser().parse_args()
    mirror_outcome.tell()
    if options.do == OLD_NAME:
        print(f"note: {OLD_NAME} is now called {CHALLENGE}", file=sys.stderr)
        options.do = CHALLENGE
    try:
        engine = database.open_journal(settings.journal_url())
        problem = options.problem or promotions.newest_problem(engine) or ""
        if options.do == "status":
            return _status(engine, problem)
        if options.do == "mirror":
            history = promotions.history(engine, problem)
            return _mirror(engine, history[0]) if history else _status(engine, problem)
        result = _do(options, engine, problem)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(f"{result.action}: {result.model} at threshold {result.threshold:.4g}. {result.why}")
    _mirror(engine, result)
    lost = result.action in (promotions.KEPT, promotions.OVERTAKEN)
    return 2 if options.do == CHALLENGE and lost else 0


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
        CHALLENGE, aliases=[OLD_NAME], help="compare a run's model with the one served"
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
    commands.add_parser("acknowledge", help="send no alert about drift until it changes again")
    commands.add_parser("threshold", help="decide at another threshold").add_argument(
        "value", type=float
    )
    for command in set(
        commands.choices.values()
    ):  # also after the command, where people write them
        for name in ("--problem", "--who", "--why"):
            command.add_argument(name, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _do(options: argparse.Namespace, engine, problem: str):
    """Do a command that changes something, and return the promotion that was recorded."""
    who, why = options.who, options.why
    if options.do == "rollback":
        from fivefold.lifecycle.decisions import roll_back

        return roll_back(engine, problem, who, why or "rolled back by hand")
    if options.do == "threshold":
        from fivefold.lifecycle.decisions import change_threshold

        return change_threshold(engine, problem, options.value, who, why or "changed by hand")
    if options.do == "acknowledge":
        from fivefold.lifecycle.decisions import acknowledge

        return acknowledge(engine, problem, who, why or "the drift is known")
    if options.do in ("approve", "decline"):
        from fivefold.lifecycle.decisions import decide

        return decide(engine, problem, options.do == "approve", who, why)
    from fivefold.lifecycle import promotion

    run_id = options.run.rpartition("/")[2]
    if options.do == "promote":
        return promotion.promote(engine, run_id, who, why)
    return promotion.challenge_champion(
        engine,
        run_id,
        bootstrap.ROOT,
        who=who,
        margin=options.margin,
        require_approval=options.require_approval,
    )


def _status(engine, problem: str) -> int:
    """Print what is served, the looks at held-out rows, and all decisions, newest first."""
    from fivefold.journal import promotions
    from fivefold.lifecycle.looks import ledger

    history = promotions.history(engine, problem)
    if not history:
        print(
            "Nothing is promoted yet. A first model that meets its scope promotes itself: "
            "python flows/train.py run"
        )
        return 0
    champion = promotions.champion(engine, problem)
    served = "nothing served"
    if champion:
        served = f"serving {champion.model} at threshold {champion.threshold:.4g}"
    print(f"Problem {problem}: {served}")
    if champion is None:
        print(f'To serve one: python flows/promote.py promote {history[0].run_id} --why "..."')
    for line in ledger(history):
        print(line)
    if promotions.waiting(engine, problem):
        print("A challenger waits: python flows/promote.py approve | decline")
    for row in history:
        mark = "*" if champion and row.seq == champion.seq else " "
        print(
            f"{mark} {row.seq:>4}  {row.at:%Y-%m-%d %H:%M} UTC  {row.action:11} {row.model:28} "
            f"threshold {row.threshold:.4g}  {row.who}: {row.why}"
        )
    return 0


def _mirror(engine, promotion) -> int:
    """Set the tags and aliases, and return the exit code."""
    from fivefold.lifecycle import promotion_mirror

    warnings = promotion_mirror.mirror(engine, promotion, bootstrap.ROOT)
    for warning in warnings:
        print(f"warning: {warning}")
    return int(bool(warnings))


if __name__ == "__main__":
    sys.exit(main())
