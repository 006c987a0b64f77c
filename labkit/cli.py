"""The command `labkit`: collects the commands of `labkit.commands`, parses, and reports errors.

TensorFlow takes seconds to import, so no command imports it before it runs: `--help` and a mistyped
option are answered at once. A mistake in the user's input ends in one sentence on stderr and exit
status 2; a traceback is a bug in labkit.
"""

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator

from labkit import __version__
from labkit.errors import LabkitError, Stopped, printable
from labkit.quiet import replace_unprintable

# The modules of `labkit.commands`, in the order of `labkit --help`.
COMMANDS = (
    "train",
    "find_lr",
    "detect",
    "evaluate",
    "report",
    "inspect",
    "doctor",
    "parity",
    "info",
    "demo",
)
DESCRIPTION = (
    "Mask R-CNN and YOLACT: find objects in pictures, their class, their box and their outline."
)
EPILOG = """\
start here:
  labkit demo                                  train, evaluate and look, in minutes
  labkit train --data shapes --run runs/first  a model of your own
  labkit detect --weights runs/first photo.png what it finds in a picture

`labkit COMMAND --help` explains a command and shows examples.
"""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one sentence instead of with the whole usage."""

    def __init__(self, *args, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **options)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")


def main(argv: list[str] | None = None) -> int:
    """Runs a command line.

    Args:
        argv: the words after `labkit`; by default those of this process.

    Returns:
        The exit status: the command's own, or 2 after a sentence on stderr.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    replace_unprintable()
    # Pillow's warning comes before labkit's own limit, which says what to do.
    warnings.filterwarnings("ignore", "Image size .* could be decompression bomb")
    parser = build_parser()
    if not argv:
        parser.print_help()
        return 0
    args, unknown = parser.parse_known_args(argv)
    if unknown:  # argparse would point to `labkit --help`, which lists no options of commands
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    with plain_warnings():
        return exit_status(args.command, lambda: args.run_command(args))


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Within the block, a warning is printed as a sentence, without a place in the code."""
    usual = warnings.formatwarning

    def sentence(message, category, filename, lineno, line=None) -> str:
        if issubclass(category, UserWarning):
            return f"warning: {printable(str(message))}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = sentence
    try:
        yield
    finally:
        warnings.formatwarning = usual


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands.

    `args.run_command` is the `run` of the command that was given, `args.parser` its own parser.
    """
    parser = Parser(prog="labkit", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"labkit {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = importlib.import_module(f"labkit.commands.{name}")
        description = f"{command.HELP[0].upper()}{command.HELP[1:]}."
        subparser = subparsers.add_parser(
            command.NAME, help=command.HELP, description=description, epilog=command.EPILOG
        )
        command.add_options(subparser)
        subparser.set_defaults(run_command=command.run, parser=subparser)
    return parser


def exit_status(command: str, run: Callable[[], int]) -> int:
    """Calls run() and turns the errors that are meant for the user into one sentence on stderr."""
    try:
        return run()
    except BrokenPipeError:  # `labkit info | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Stopped as stopped:
        print(f"labkit {command}: {stopped}", file=sys.stderr)
        return stopped.status
    except KeyboardInterrupt:
        print(f"\nlabkit {command}: stopped by Ctrl-C.", file=sys.stderr)
        return 130
    except LabkitError as error:
        sentence = str(error)
    except OSError as error:
        sentence = f"{error.filename}: {error.strerror}." if error.filename else str(error)
    sentence = printable(sentence.removeprefix(f"{command}: "))  # a file's name may hold anything
    print(f"labkit {command}: {sentence}", file=sys.stderr)
    return 2
