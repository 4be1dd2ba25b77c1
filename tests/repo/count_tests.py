#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Count what meson's test runs did: count_tests.py TESTLOG.json...

A CMocka program counts as its tests, any other as one. Prints
"PASSED FAILED SKIPPED", then a line "skipped: NAME: REASON" for each skip and
"failed: NAME" for each failure.
"""
import json
import re
import sys


def count(entry):
    """(passed, failed, skipped) of one program."""
    text = entry.get("stdout", "") + entry.get("stderr", "")
    ok = entry["result"] in ("OK", "EXPECTEDFAIL")
    if entry["result"] == "SKIP":
        return 0, 0, 1
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", text))
    skipped = sum(int(n) for n in re.findall(r"\[  SKIPPED \] (\d+) test", text))
    if passed + failed + skipped == 0:
        return (1, 0, 0) if ok else (0, 1, 0)
    if not ok and failed == 0:
        failed = 1
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    notes = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                entry = json.loads(line)
                result = count(entry)
                total = [a + b for a, b in zip(total, result)]
                if result[1]:
                    notes.append(f"failed: {entry['name']}")
                if result[2]:
                    reasons = re.findall(r"^SKIP: (.*)$", entry.get("stdout", ""), re.M)
                    notes.append(f"skipped: {entry['name']}: {'; '.join(reasons) or 'no reason given'}")
    print(*total)
    print("\n".join(notes), end="\n" if notes else "")


if __name__ == "__main__":
    main()
