"""`labkit doctor`: what is wrong with a run."""

import json

from labkit.quiet import import_tensorflow, only_json_on_stdout


def run(args) -> int:
    """The exit status is 1 where something was found."""
    with only_json_on_stdout(args.json):
        import_tensorflow()
        from labkit.training import diagnose

        diagnosis = diagnose(args.run)
    print(json.dumps(diagnosis.to_dict(), indent=2) if args.json else diagnosis)
    return 1 if diagnosis.findings else 0
