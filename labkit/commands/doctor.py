"""`labkit doctor`: what is wrong with a run."""

import json

from labkit.commands.options import add_json
from labkit.quiet import import_tensorflow, only_json_on_stdout

NAME = "doctor"
HELP = "say what is wrong with a run"
EPILOG = """\
examples:
  labkit doctor runs/mine
  labkit doctor runs/mine --json

Reads what a run has written so far, also while it goes on, and names what is wrong, the numbers
that show it, and what to do. The exit status is 0 if nothing is found, 1 if something is.
"""


def add_options(parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    add_json(parser)


def run(args) -> int:
    """The exit status is 1 where something was found."""
    with only_json_on_stdout(args.json):
        import_tensorflow()
        from labkit.training import diagnose

        diagnosis = diagnose(args.run)
    print(json.dumps(diagnosis.to_dict(), indent=2) if args.json else diagnosis)
    return 1 if diagnosis.findings else 0
