#!/usr/bin/env python3
"""Count what test runners printed.

  tally.py NAME LOG STATUS SECONDS   one line for one runner: "NAME: P passed, F failed, S skipped (T s)"
  tally.py --sum FILE                the sum of such lines, alone on the last line; exit 1 if any failed

A runner prints TAP lines ("ok ...", "not ok ...", "ok ... # SKIP why" or "skip NAME: why"), or is
`meson test`, whose own summary is read. A runner that says nothing counts as one test, by its
exit status; one that fails without saying what failed counts as one more failure."""
import re
import sys


def count(text, status):
    passed = failed = skipped = 0
    reasons = []
    for line in text.splitlines():
        skip = re.match(r"(?:ok\b.*#\s*SKIP\s*(.*)|skip\s+(.*))", line, re.I)
        if skip:
            skipped += 1
            reasons.append(skip[1] or skip[2] or "no reason given")
        elif re.match(r"not ok\b", line):
            failed += 1
        elif re.match(r"ok\b", line):
            passed += 1
        m = re.match(r"\s*\d+/\d+ .*?\s(OK|FAIL|ERROR|TIMEOUT|SKIP)\s+[\d.]+s(?:\s+(\d+)(?:/(\d+))? subtests passed)?", line)
        if m and m[1] in ("OK", "FAIL") and m[2]:
            passed += int(m[2])
            failed += int(m[3]) - int(m[2]) if m[3] else m[1] == "FAIL"
        elif m and m[1] == "OK":
            passed += 1
        elif m and m[1] == "SKIP":
            skipped += 1
            reasons.append(line.strip())
        elif m:
            failed += 1
    if status and not failed:
        failed = 1
    if not status and passed + failed + skipped == 0:
        passed = 1
    return passed, failed, skipped, reasons


def main():
    if sys.argv[1] == "--sum":
        total = [0, 0, 0]
        for line in open(sys.argv[2]):
            m = re.search(r": (\d+) passed, (\d+) failed, (\d+) skipped", line)
            if m:
                total = [a + int(b) for a, b in zip(total, m.groups())]
        print("{} passed, {} failed, {} skipped".format(*total))
        return 1 if total[1] or not total[0] else 0
    name, log, status, seconds = sys.argv[1:5]
    text = open(log, errors="replace").read()
    passed, failed, skipped, reasons = count(text, int(status))
    for why in reasons:
        print(f"  {name}: skipped: {why}")
    print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped ({seconds} s)")
    return 0


sys.exit(main())
