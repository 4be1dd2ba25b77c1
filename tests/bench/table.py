#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""The lines of tools/bench as Markdown tables, so that no figure is typed by hand.

  table.py FILE...                  print all tables
  table.py --into DOCUMENT FILE...  put them between the document's marks
  table.py --check DOCUMENT FILE... fail if that would change the document
  table.py --machine                a comment that tells the machine, for a file's first line

A mark is a line "<!-- figures: NAME -->", its end a line "<!-- end -->". A name is a benchmark,
"goals", or "machine" and a benchmark. Marks of benchmarks that no file holds are left alone.
"""
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

AFTER = " after 10 % writes"
OTHERS = ("bulk load", "size on disk", "update, ")
MARK = re.compile(r"(<!-- figures: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class Line:
    def __init__(self, text):
        columns = text.split("\t")
        if len(columns) != 13:
            sys.exit(f"table.py: not a line of tools/bench: {text!r}")
        numbers = [float(column) if column else math.nan for column in columns[3:6] + columns[7:]]
        self.benchmark, self.case, self.peer = columns[:3]
        self.unit = columns[6]
        (self.ours, self.theirs, self.ratio, self.ours_p99, self.theirs_p99, self.our_bytes,
         self.their_bytes, self.listings, self.samples) = numbers


class Run:
    """The lines of one benchmark, in their order."""

    def __init__(self):
        self.lines = []
        self.machine = None

    def cases(self):
        return list(dict.fromkeys(line.case for line in self.lines))

    def of(self, case):
        return [line for line in self.lines if line.case == case]

    def find(self, case, peer):
        return next((line for line in self.of(case) if line.peer == peer), None)


def read(files):
    runs = {}
    for file in files:
        machine = None
        for text in pathlib.Path(file).read_text().splitlines():
            if text.startswith("#"):
                machine = text[1:].strip()
            elif text:
                line = Line(text)
                run = runs.setdefault(line.benchmark, Run())
                run.machine = machine
                run.lines.append(line)
    return runs


def number(value):
    if value < 10:
        return f"{value:.1f}"
    return f"{value:,.0f}"


def times(median, p99, scale=1):
    return f"{number(median / scale)} / {number(p99 / scale)}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def case_table(run, cases, title, suffix="", scale=1, samples="questions"):
    peers = list(dict.fromkeys(line.peer for case in cases for line in run.of(case)))
    rows = []
    for case in cases:
        lines = {line.peer: line for line in run.of(case)}
        first = next(iter(lines.values()))
        rows.append([case.removesuffix(suffix), times(first.ours, first.ours_p99, scale)] +
                    [times(lines[p].theirs, lines[p].theirs_p99, scale) if p in lines else "-"
                     for p in peers] + [number(first.samples)])
    return table([title, "torg", *peers, samples], rows) if rows else ""


def size_rows(run):
    """Loading, memory and disk: one column a peer, one row each."""
    lines = run.of("bulk load")
    if not lines:
        return ""
    head = ["", "torg"] + [line.peer for line in lines]
    rows = [["bulk load, ms", number(lines[0].ours / 1e3)] +
            [number(line.theirs / 1e3) for line in lines],
            ["million bytes, loaded", number(lines[0].our_bytes / 1e6)] +
            [number(line.their_bytes / 1e6) for line in lines]]
    disk = {line.peer: line for line in run.of("size on disk")}
    if disk:
        rows.append(["million bytes on disk", number(next(iter(disk.values())).ours / 1e6)] +
                    [number(disk[line.peer].theirs / 1e6) if line.peer in disk else "-"
                     for line in lines])
    return table(head, rows)


def figures(run):
    if run.lines[0].benchmark.startswith("replication"):
        return case_table(run, run.cases(), "ms", scale=1e3, samples="samples")
    questions = [case for case in run.cases() if not case.startswith(OTHERS) and "beside" not in case]
    fresh = [case for case in questions if not case.endswith(AFTER)]
    after = [case for case in questions if case.endswith(AFTER)]
    updates = [case for case in run.cases() if case.startswith("update, ")]
    parts = [case_table(run, fresh, "freshly loaded, µs"),
             case_table(run, after, "after 10 % writes, µs", suffix=AFTER),
             size_rows(run),
             case_table(run, updates, "durable updates, µs each", samples="commits")]
    for case in run.cases():
        if "beside" in case:
            parts.append(case_table(run, [case], "as it grows, µs"))
    return "\n".join(part for part in parts if part)


def goal(runs, benchmark, case, peers, wanted, at_least=None, at_most=None, p99=False):
    """One row: the worst of the peers against a bound of their time to ours, or ours to theirs."""
    lines = [line for line in map(lambda peer: benchmark in runs and
                                  runs[benchmark].find(case, peer), peers) if line]
    if not lines:
        return []
    if at_least is not None:
        measured = min(line.ratio for line in lines)
        reached = measured >= at_least
    else:
        measured = max(line.ours_p99 / line.theirs_p99 if p99 else line.ours / line.theirs
                       for line in lines)
        reached = measured <= at_most
    return [[case, wanted, f"{measured:.2f}" if measured < 10 else number(measured),
             "yes" if reached else "**no**"]]


def goals(runs):
    boost = ["Boost packed", "Boost R*"]
    rows = goal(runs, "index", "all in radius, mix", boost[:1], "5 x Boost packed", at_least=5)
    rows += goal(runs, "index", "all in radius, 25 km + theme", boost[:1], "20 x Boost packed",
                 at_least=20)
    rows += goal(runs, "index", "nearest 20 of a theme", boost, "3 x the best of Boost", at_least=3)
    rows += goal(runs, "index", "box + theme", boost[:1], "2.5 x Boost packed", at_least=2.5)
    rows += goal(runs, "index", "counts per theme, 100 km", boost[:1], "15 x Boost packed",
                 at_least=15)
    rows += goal(runs, "server", "counts per theme, 100 km", ["PostGIS"],
                 "1000 x PostGIS, as servers", at_least=1000)
    rows += goal(runs, "http", "near + theme, 20 features", ["nginx static"],
                 "half of nginx's requests a second", at_least=0.5)
    rows += goal(runs, "http", "near + theme, 20 features, 16 connections", ["nginx static"],
                 "p99 at most 3 x nginx's", at_most=3, p99=True)
    rows += goal(runs, "http", "near + theme, 20 features", ["Node + PostGIS"],
                 "10 x Node + PostGIS", at_least=10)
    rows += goal(runs, "http", "box + theme, 100 features", ["MapServer"], "50 x MapServer",
                 at_least=50)
    if "index" in runs:
        for case in runs["index"].cases():
            if case.endswith(AFTER):
                rows += goal(runs, "index", case, ["torg packed"],
                             "at most 1.25 x the time of torg packed", at_most=1.25)
    rows += goal(runs, "index, 10 M", "nearest 20 of a theme, 10 M beside 100 k",
                 ["torg at 100 k"], "at most 2 x the time at 100 k", at_most=2)
    rows += goal(runs, "index", "bulk load", boost[:1], "at most 1.5 x the time of Boost packed",
                 at_most=1.5)
    rows += goal(runs, "index", "update, 1000 a commit", ["SQLite"], "faster than SQLite",
                 at_least=1)
    rows += goal(runs, "index", "update, 1 a commit", ["SQLite"],
                 "at most 2 x the time of SQLite", at_most=2)
    rows += goal(runs, "replication", "first copy", ["PostgreSQL"], "3 x PostgreSQL", at_least=3)
    rows += goal(runs, "replication", "catch-up", ["PostgreSQL"], "3 x PostgreSQL", at_least=3)
    rows += goal(runs, "replication", "acknowledged to visible", ["PostgreSQL"],
                 "at most PostgreSQL's time", at_most=1)
    rows += goal(runs, "replication", "acknowledged to visible", ["PostgreSQL"],
                 "the same at p99", at_most=1, p99=True)
    for case in ("near while catching up", "near while a peer is stalled"):
        rows += goal(runs, "replication", case, ["torg quiet"],
                     "p99 at most 1.5 x its quiet value", at_most=1.5, p99=True)
    return table(["case", "wanted", "measured", "reached"], rows) if rows else ""


def blocks(runs):
    """What belongs between the marks of each name."""
    result = {name: figures(run) for name, run in runs.items()}
    result |= {f"machine {name}": run.machine + "\n" for name, run in runs.items() if run.machine}
    result["goals"] = goals(runs)
    return {name: text for name, text in result.items() if text}


def filled(document, runs):
    texts = blocks(runs)

    def fill(match):
        text = texts.get(match[2])
        return match[0] if text is None else f"{match[1]}\n{text}\n{match[4]}"
    return MARK.sub(fill, document)


def first_match(path, pattern, otherwise=""):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else otherwise


def machine():
    memory = int(first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0")) / 1048576
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True,
                              check=False).stdout.strip()
    caches = first_match("/proc/cpuinfo", r"^cache size\s*:\s*(.*)$")
    return (f"{time.strftime('%-d %B %Y')}: {first_match('/proc/cpuinfo', r'^model name.*?: (.*)$')}, "
            f"{os.cpu_count()} processors, last cache {caches}, {memory:.0f} GiB of memory, "
            f"Linux {platform.release()}, "
            f"Debian {first_match('/etc/debian_version', '(.*)', '(none)')}, gcc {compiler} -O3, no "
            f"-march; load {os.getloadavg()[0]:.1f} at the beginning")


def main(arguments):
    if arguments == ["--machine"]:
        print("#", machine())
    elif arguments and arguments[0] in ("--into", "--check") and len(arguments) > 2:
        path = pathlib.Path(arguments[1])
        before = path.read_text()
        after = filled(before, read(arguments[2:]))
        if arguments[0] == "--into":
            path.write_text(after)
        elif after != before:
            sys.exit(f"{path} does not show the figures of {' '.join(arguments[2:])}: "
                     "run tools/bench --into")
    elif arguments and not arguments[0].startswith("--"):
        for name, text in blocks(read(arguments)).items():
            print(f"{name}\n\n{text}")
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
