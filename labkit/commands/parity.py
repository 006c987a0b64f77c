"""`labkit parity`: how far labkit is from reference values, quantity by quantity."""

import json
import math

from labkit.quiet import import_tensorflow, only_json_on_stdout

ROW = "{:<56} {:>10} {:>10}  {:<16} {}"


def run(args) -> int:
    groups = []
    with only_json_on_stdout(args.json):  # the rows too: a run takes minutes, and shows it is alive
        import_tensorflow()
        from labkit import parity

        for file, check in parity.compare(args.golden):
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
