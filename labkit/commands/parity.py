"""`labkit parity`: how far labkit is from reference values, quantity by quantity."""

import json
import math

from labkit.commands.options import add_json
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow, only_json_on_stdout

NAME = "parity"
HELP = "compare labkit with reference values"
EPILOG = """\
examples:
  labkit parity --golden tests/golden
  labkit parity --golden reference/ --json
  labkit parity --published yolact_resnet50 --images coco/val2017/    downloads both to compare

Goes through a folder of reference values (.npz files computed by torchvision and pycocotools, or by
YOLACT's own code: see tests/golden) and compares what labkit computes from the same input:
operators, whole networks with the same weights, training losses and gradients, COCO's numbers. For
every quantity: how many values, the largest deviation, the tolerance. The exit status is 0 only if
all are within theirs.
"""
ROW = "{:<56} {:>10} {:>10}  {:<16} {}"


def add_options(parser) -> None:
    parser.add_argument("--golden", metavar="DIR", help="the folder of reference values")
    parser.add_argument(
        "--published",
        metavar="NAME",
        help="or published weights of YOLACT: compare their detections with those that its authors "
        "published of 100 pictures of COCO ...",
    )
    parser.add_argument("--images", metavar="DIR", help="... which are in this folder")
    add_json(parser)


def run(args) -> int:
    groups = []
    with only_json_on_stdout(args.json):  # the rows go to stderr then: they show the progress
        import_tensorflow()
        from labkit import parity

        for file, check in chosen(parity, args):
            if not groups:
                print(ROW.format("group", "values", "deviation", "tolerance", ""))
            groups.append(as_dict(file, check))
            print(as_row(file, check), flush=True)
    ok = all(group["ok"] for group in groups)
    if args.json:
        print(json.dumps({"ok": ok, "groups": groups}, indent=2))
    else:
        values, failed = sum(g["values"] for g in groups), sum(not g["ok"] for g in groups)
        verdict = "all hold" if ok else f"{failed} do NOT hold"
        print(f"{values:,} values in {len(groups)} groups: {verdict}.")
    return 0 if ok else 1


def chosen(parity, args):
    """The comparison that the options ask for; it yields (file, check)."""
    if bool(args.golden) == bool(args.published):
        raise LabkitError("give --golden DIR, or --published NAME with --images DIR.")
    if args.golden:
        return parity.compare(args.golden)
    if not args.images:
        raise LabkitError(f"--published {args.published}: add --images, the pictures' folder.")
    return parity.compare_published(args.published, args.images)


def as_dict(file: str, check) -> dict:
    if isinstance(check, str):
        return {"file": file, "group": file, "values": 0, "ok": False, "why": check}
    entry = {"file": file, **check.to_dict()}
    if math.isinf(check.deviation):  # JSON has no infinity
        entry["deviation"] = None
        entry["why"] = "shapes differ, or a value is not a number"
    return entry


def as_row(file: str, check) -> str:
    if isinstance(check, str):
        return f"{file}: {check}  FAILS"
    verdict = "ok" if check.ok else "FAILS"
    return ROW.format(
        check.name, f"{check.values:,}", f"{check.deviation:.1e}", check.tolerance, verdict
    )
