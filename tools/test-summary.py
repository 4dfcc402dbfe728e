#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the tests in the Meson logs of the given build directories.

A test that prints TAP counts as its points; any other as one. A test that
crashes, times out or prints fewer points than it planned counts as failed, on
top of the points it printed. Skipped tests are named and not counted. Exits
with 1 when anything failed, or nothing ran.
"""
import json
import os
import re
import sys

PLAN = re.compile(r"^1\.\.(\d+)", re.M)
POINT = re.compile(r"^(not )?ok\b([^\n]*)", re.M)


def count(entry):
    """(passed, failed, skipped) of one line of testlog.json."""
    good = entry["result"] in ("OK", "EXPECTEDFAIL")
    if entry["result"] == "SKIP":
        return 0, 0, 1
    output = entry.get("stdout") or ""
    plans = PLAN.findall(output)
    if not plans:
        return (1, 0, 0) if good else (0, 1, 0)
    points = POINT.findall(output)
    skipped = sum(1 for bad, rest in points if not bad and "# SKIP" in rest.upper())
    failed = sum(1 for bad, _ in points if bad)
    passed = len(points) - failed - skipped
    short = len(points) != sum(map(int, plans))
    if short or (not good and not failed):
        failed += 1
    return passed, failed, skipped


def main(dirs):
    total = [0, 0, 0]
    for build in dirs:
        log = os.path.join(build, "meson-logs", "testlog.json")
        try:
            with open(log, encoding="utf-8", errors="replace") as lines:
                entries = [json.loads(line) for line in lines if line.strip()]
        except OSError:
            print(f"no test log: {log}")
            total[1] += 1
            continue
        for entry in entries:
            counts = count(entry)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                print(f"failed: {build}: {entry['name']} ({entry['result']})")
            elif counts[2]:
                print(f"skipped: {build}: {entry['name']}")
    if total[2]:
        print(f"{total[2]} skipped")
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


sys.exit(main(sys.argv[1:]))
