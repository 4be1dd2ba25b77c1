# SPDX-License-Identifier: EUPL-1.2
"""What the replication benchmark and its peers agree on: the listings, and small helpers.

A pair is a source and a copy of one kind of server. Each is one file, replication_NAME.py, with a
class that has the methods of Pair, and one line in bench_replication.py.
"""
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time

SEED = 20260
CHANGES_IN_COMMIT = 1000
PATIENCE_S = 3600


class BenchError(Exception):
    pass


def say(text):
    print(f"replication: {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, step_s=0.005):
    """Watch until condition is true: seconds on the clock of time.monotonic() when it was."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"gave up waiting until {what}")
        time.sleep(step_s)
    return time.monotonic()


def run(*arguments, **kwargs):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


class Process:
    """A server of ours: ended by its own process id."""

    def __init__(self, arguments, log):
        with open(log, "ab") as out:
            # A group of its own: Ctrl-C is for the benchmark, which ends its servers in order.
            self.process = subprocess.Popen(arguments, stdout=out, stderr=out, start_new_session=True)
        self.log = log

    def check(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.log}: the server ended with {self.process.returncode}:\n" +
                             pathlib.Path(self.log).read_text(errors="replace")[-2000:])
        return True

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


def memory_bytes(pids):
    """Of processes and their children; shared pages are divided among those who share (Pss)."""
    total = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            status = pathlib.Path(f"/proc/{entry}/status").read_text()
            parent = int(status.split("PPid:")[1].split()[0])
            if int(entry) in pids or parent in pids:
                rollup = pathlib.Path(f"/proc/{entry}/smaps_rollup").read_text()
                total += int(rollup.split("\nPss:")[1].split()[0]) * 1024
        except (OSError, IndexError):
            continue
    return total


class Listing:
    """An offer as "torg generate" makes it, of about 400 bytes."""
    __slots__ = ("number", "lon", "lat", "theme", "version")

    def __init__(self, number, lon, lat, theme):
        self.number, self.lon, self.lat, self.theme, self.version = number, lon, lat, theme, 0

    def name(self):
        return f"Erbjudande {self.number} utgåva {self.version}"

    def description(self):
        return (f"Påhittat exempel nummer {self.number} för prov av torg, bland många andra "
                "i norr.")

    def feature(self):
        return (f'{{"type":"Feature","geometry":{{"type":"Point","coordinates":[{self.lon:.7f},'
                f'{self.lat:.7f}]}},"properties":{{"example":true,"identifiers":{{"source":'
                f'{{"system":"torg-bench","id":"{self.number}"}}}},"name":{{"sv":"{self.name()}"}},'
                f'"description":{{"sv":"{self.description()}"}},"themes":["{self.theme}"],'
                f'"kind":"sell","price":{{"amount":{50 + self.number % 300 * 10},'
                '"currency":"SEK"}}}')


class World:
    """Listings around villages and towns, from one seed."""

    def __init__(self, count, themes):
        chance = random.Random(SEED)
        towns = [(chance.uniform(14, 24), chance.uniform(61, 68)) for _ in range(300)]
        weights = [1 / (rank + 1) for rank in range(len(themes))]
        places = chance.choices(range(len(towns)), [1 / (i + 1) for i in range(len(towns))], k=count)
        chosen = chance.choices(themes, weights, k=count)
        self.listings = []
        for number in range(count):
            lon, lat = towns[places[number]]
            self.listings.append(Listing(number, lon + chance.gauss(0, 0.05),
                                         lat + chance.gauss(0, 0.02), chosen[number]))
        self.chance = chance

    def change(self, count):
        """Other names and other places for so many listings, each once."""
        changed = self.chance.sample(self.listings, count)
        for listing in changed:
            listing.version += 1
            listing.lon += self.chance.gauss(0, 0.01)
            listing.lat += self.chance.gauss(0, 0.005)
        return changed


def chunks(listings, size=CHANGES_IN_COMMIT):
    return [listings[at:at + size] for at in range(0, len(listings), size)]


def collection(listings):
    return ('{"type":"FeatureCollection","features":[' +
            ",".join(listing.feature() for listing in listings) + "]}").encode()


class Pair:
    """A source and a copy. Whatever fails raises BenchError."""
    name = ""

    def write(self, listings):
        """Upserts at the source: one durable commit, acknowledged at return."""
        raise NotImplementedError

    def settle(self):
        """Let whoever is there finish what it puts off while it has other work, so that no case
        pays for the one before."""

    def follow(self):
        """Let the copy follow the source: returns at once. The first time it holds nothing."""
        raise NotImplementedError

    def leave(self):
        """The copy stops following; what it has, it keeps."""
        raise NotImplementedError

    def has_all(self):
        """Does the copy hold, durably and indexed, all that the source has acknowledged?"""
        raise NotImplementedError

    def shows(self, listing):
        """Does the copy answer with this version of the listing?"""
        raise NotImplementedError

    def pids(self):
        """Of the copy's first process."""
        raise NotImplementedError

    def end(self):
        raise NotImplementedError


def as_json(text):
    return json.loads(text)
