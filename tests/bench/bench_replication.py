#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""bench replication - a copy of torgd beside copies of other servers

usage: tools/bench replication [options]

Two servers of each kind on loopback, one following the other. Prints a line for each case and
peer, separated by tabs: benchmark, case, peer, ours, theirs, ratio (theirs divided by ours: above
1 we are faster), unit; then ours and theirs at the 99th percentile, our and their bytes of the
copy's memory, listings, samples. docs/performance.md says what is measured and how.

  --count N        listings (default 1000000)
  --changes N      of them changed while the copy is away (default: a tenth)
  --seconds S      time for each case that is sampled (default 20)
  --peer NAME      only this peer: "PostgreSQL" or "Redis"; may be repeated
  --help
"""
import argparse
import contextlib
import math
import multiprocessing
import os
import signal
import sys
import time

import replication_world as world
from replication_postgres import Postgres
from replication_redis import Redis
from replication_torg import Torg, limits

COUNT_MAX = 5_000_000
SAMPLES_MIN = 20
# To add a peer, write replication_NAME.py and name it here.
PEERS = {"PostgreSQL": Postgres, "Redis": Redis}


def at(values, share):
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def line(case, peer, ours, theirs, memory, count):
    our_us, their_us = at(ours, 0.5) * 1e6, at(theirs, 0.5) * 1e6
    ratio = their_us / our_us if our_us > 0 else math.inf
    name = "replication, 100 k" if count == 100_000 else "replication"
    print(f"{name}\t{case}\t{peer}\t{our_us:.2f}\t{their_us:.2f}\t{ratio:.3f}\tus\t"
          f"{at(ours, 0.99) * 1e6:.2f}\t{at(theirs, 0.99) * 1e6:.2f}\t{memory[0]}\t{memory[1]}\t"
          f"{count}\t{len(theirs)}", flush=True)


@contextlib.contextmanager
def busy_loops(log):
    """One for each processor, of another program: what a query feels of processors that are busy
    with anything at all."""
    loops = [world.Process([sys.executable, "-c", "while True: pass"], log)
             for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for loop in loops:
            loop.end()


@contextlib.contextmanager
def writes(pair, listings):
    """Commits at the source without a pause, by a process of its own: a thread of Python would
    hold up those who ask."""
    def write():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            pair.write(listings)
    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    try:
        yield
        if not process.is_alive():
            raise world.BenchError("the writes beside the questions ended")
    finally:
        process.terminate()
        process.join()


class Bench:
    def __init__(self, options):
        self.options = options
        self.pairs = []
        self.world = None

    def open(self):
        for make in [Torg] + [PEERS[name] for name in self.options.peer or PEERS]:
            world.say(f"starting two of {make.name}")
            self.pairs.append(make(self.options, self.options.directory))
        world.say("[limits] " + "; ".join(limits()))
        self.world = world.World(self.options.count, self.pairs[0].themes())

    def end(self):
        for pair in self.pairs:
            pair.end()

    def lines(self, case, times):
        memory = {pair.name: world.memory_bytes(pair.pids()) for pair in self.pairs}
        ours = self.pairs[0].name
        for pair in self.pairs[1:]:
            line(case, pair.name, times[ours], times[pair.name],
                 (memory[ours], memory[pair.name]), self.options.count)

    def followed(self, pair):
        """Seconds from the order to follow to the last byte, durable and indexed."""
        begin = time.monotonic()
        pair.follow()
        return world.until(f"the copy of {pair.name} has all", pair.has_all) - begin

    def verify(self, pair, listings):
        for listing in listings[:100]:
            if not pair.shows(listing):
                raise world.BenchError(f"{pair.name}: the copy says that it has all, but does not "
                                       f"show listing {listing.number}")

    def first_copy(self):
        times = {}
        for pair in self.pairs:
            world.say(f"loading {pair.name}")
            pair.load(self.world.listings)
            pair.settle()
            world.say(f"first copy, {pair.name}")
            times[pair.name] = [self.followed(pair)]
            if isinstance(pair, Torg):
                pair.copy.wait_ready()
            self.verify(pair, self.world.listings)
        self.lines("first copy", times)

    def catch_up(self):
        changed = self.world.change(self.options.changes)
        times = {}
        for pair in self.pairs:
            pair.leave()
            pair.load(changed)
            pair.settle()
            world.say(f"catch-up, {pair.name}: {len(changed)} changes")
            times[pair.name] = [self.followed(pair)]
            if isinstance(pair, Torg):
                pair.copy.wait_ready()
            self.verify(pair, changed)
        self.lines("catch-up", times)

    def visible(self):
        """From the acknowledgement at the source until the copy answers with it."""
        times = {pair.name: [] for pair in self.pairs}
        for pair in self.pairs:
            pair.settle()
        begin, turn = time.monotonic(), 0
        world.say("acknowledged to visible")
        while turn < SAMPLES_MIN or time.monotonic() < begin + self.options.seconds:
            changed = self.world.change(1)
            for i in range(len(self.pairs)):
                pair = self.pairs[(turn + i) % len(self.pairs)]
                pair.write(changed)
                acknowledged = time.monotonic()
                seen = world.until("the copy shows it", lambda p=pair: p.shows(changed[0]), 0)
                times[pair.name].append(seen - acknowledged)
            turn += 1
        self.lines("acknowledged to visible", times)

    # -- what a query of ours feels of it

    def asked(self, ask, going):
        times, chance = [], self.world.chance
        while going(len(times)):
            listing = chance.choice(self.world.listings)
            begin = time.monotonic()
            ask(listing.lon, listing.lat)
            times.append(time.monotonic() - begin)
        return times

    def near(self):
        torg = self.pairs[0]
        end = time.monotonic() + self.options.seconds / 2
        world.say("near while catching up, and while a peer is stalled")
        quiet = self.asked(torg.near, lambda n: n < SAMPLES_MIN or time.monotonic() < end)
        with busy_loops(torg.copy.directory.parent / "loops.log"):
            end = time.monotonic() + self.options.seconds / 2
            loops = self.asked(torg.near, lambda n: n < SAMPLES_MIN or time.monotonic() < end)
        torg.leave()
        torg.load(self.world.change(self.options.changes))
        torg.settle()
        torg.follow()
        torg.copy.wait_ready()
        busy = self.asked(torg.near, lambda n: n < SAMPLES_MIN or n % 20 or not torg.has_all())
        memory = (world.memory_bytes(torg.pids()),) * 2
        for peer, theirs in (("torg quiet", quiet), ("torg beside loops", loops)):
            line("near while catching up", peer, busy, theirs, memory, self.options.count)
        quiet = self.asked_source()
        with writes(torg, self.world.listings[:100]):
            busy = self.asked_source()
            torg.stall(True)
            stalled = self.asked_source()
        torg.stall(False)
        for peer, theirs in (("torg quiet", quiet), ("torg writing", busy)):
            line("near while a peer is stalled", peer, stalled, theirs, memory, self.options.count)

    def asked_source(self):
        end = time.monotonic() + self.options.seconds / 2
        return self.asked(self.pairs[0].near_source,
                          lambda n: n < SAMPLES_MIN or time.monotonic() < end)

    def run(self):
        self.open()
        self.first_copy()
        self.catch_up()
        self.visible()
        self.near()


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="bench", add_help=False, allow_abbrev=False)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--peer", action="append", choices=list(PEERS))
    parser.add_argument("--directory", default=".")
    parser.add_argument("--torg", default="torg")
    parser.add_argument("--torgd", default="torgd")
    parser.add_argument("--help", action="store_true")
    options = parser.parse_args(arguments)
    if options.help:
        print(__doc__.strip())
        sys.exit(0)
    if not 1000 <= options.count <= COUNT_MAX:
        parser.error(f"--count: {options.count} is not a number of 1000 to {COUNT_MAX}")
    if options.changes is None:
        options.changes = options.count // 10
    if not 1 <= options.changes <= options.count:
        parser.error(f"--changes: {options.changes} is not a number of 1 to {options.count}")
    return options


def main():
    bench = Bench(options_of(sys.argv[1:]))
    # So that the servers are ended when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    try:
        bench.run()
    except world.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        bench.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
