#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Everything in one answer, to a fast reader and a slow one, while listings change.

TORG_BULK says how many listings there are (6,000 unless given; tools/check --long: 1,000,000). What
was measured is printed; only what does not hang on the machine's speed is asserted.
"""
import http.client
import itertools
import os
import re
import threading
import time

from harness import PATIENCE_S, Federation, feature, run, torg

COUNT = int(os.environ.get("TORG_BULK", "6000"))
PATH = "/torg/v1/search?all=true&f="
FAST_BYTES = 1 << 20
SLOW_BYTES = 1 << 16  # while the fast one takes a MiB
# A thousand listings of a few KB wait for each reader; what the writer holds is here as well.
GROWTH_BYTES_MAX = 64 << 20
# Below, what a daemon needs in any case is more than what could pile up.
GROWTH_COUNT_MIN = 50000
ID = re.compile(rb'"type":"Feature","id":"([a-z2-7]{13}-[a-z2-7]{26})"')


def memory(node, name):
    """RssAnon: what torgd has of its own, without the pages of the store's file; VmHWM: all, at most."""
    for line in open(f"/proc/{node.process.pid}/status", encoding="ascii"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


class Reader:
    """A download, read by pieces; remembers how often each id came."""

    def __init__(self, node, form):
        self.connection = http.client.HTTPConnection(node.host, node.http_port, timeout=PATIENCE_S)
        self.started = time.monotonic()
        self.connection.request("GET", PATH + form)
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        assert self.response.getheader("Transfer-Encoding") == "chunked"
        self.seen, self.twice, self.rest, self.bytes = set(), set(), self.response.read(1), 1
        self.first_byte_s = time.monotonic() - self.started
        self.tail = b""
        self.ended = False

    def read(self, size):
        text = self.response.read(size)
        self.ended = not text
        self.bytes += len(text)
        *lines, self.rest = (self.rest + text).split(b"\n")
        for line in lines:
            self.take(line)
        if self.ended:
            self.tail = self.rest or self.tail
            self.seconds = time.monotonic() - self.started
            self.connection.close()
        return not self.ended

    def take(self, line):
        self.tail = line
        found = ID.search(line)
        if found is None:
            return
        if found[1] in self.seen:
            self.twice.add(found[1])
        self.seen.add(found[1])

    def __str__(self):
        return (f"first byte after {self.first_byte_s * 1000:.1f} ms, {self.bytes / 1e6:.0f} MB in "
                f"{self.seconds:.1f} s, {self.bytes / 1e6 / self.seconds:.0f} MB/s")


class Writer(threading.Thread):
    """Changes some listings again and again, makes new ones and deletes them."""

    def __init__(self, node, collections):
        super().__init__()
        self.node, self.collections = node, collections
        self.done = threading.Event()
        self.writes = 0
        self.failure = None

    def change(self, i):
        collection, listing = self.collections[i % len(self.collections)]
        answer = self.node.write("PATCH", f"/collections/{collection}/items/{listing}",
                                 {"properties": {"name": {"sv": f"Ändrad {i}"}}},
                                 headers={"Content-Type": "application/merge-patch+json"})
        assert answer.status == 200, answer
        new = self.node.publish("offers", feature(f"Ny {i}"))
        assert self.node.write("DELETE", f"/collections/offers/items/{new}").status == 204
        self.writes += 3

    def run(self):
        try:
            for i in itertools.count():
                if self.done.is_set():
                    return
                self.change(i)
        except Exception as error:  # told to the test's own thread
            self.failure = error


def populate(federation, node):
    file = federation.directory / "listings.geojsonseq"
    torg("generate", "--count", str(COUNT), "--output", str(file))
    torg("import", "--quiet", "--config", str(node.conf), str(file), timeout=7200)
    file.unlink()
    node.token()
    node.stop()  # What importing took is not what downloading takes.
    node.start()


def quiet(node):
    reader = Reader(node, "geojsonseq")
    while reader.read(FAST_BYTES):
        pass
    matched = node.api("/search", limit=0)["numberMatched"]
    assert not reader.twice and len(reader.seen) == matched > 0.9 * COUNT
    print(f"bulk: {matched} listings, quiet: {reader}")
    return reader.seen


def touched_of(node):
    """Listings of several collections, from all over their numbers."""
    found = []
    for collection in ("offers", "events", "companies", "jobs"):
        total = node.api(f"/collections/{collection}/items", limit=0)["numberMatched"]
        for offset in range(0, min(total, 900000), max(1, total // 10)):
            page = node.api(f"/collections/{collection}/items", limit=1, offset=offset)
            found += [(collection, f["id"]) for f in page["features"]]
    return found


def test_everything_while_listings_change():
    with Federation() as federation:
        node = federation.found("A").start()
        populate(federation, node)
        there = quiet(node)
        touched = touched_of(node)
        untouched = there - {listing.encode() for _, listing in touched}
        assert len(untouched) > COUNT // 2 and len(touched) > 20
        before = most = memory(node, "RssAnon")
        writer = Writer(node, touched)
        writer.start()
        fast, slow = Reader(node, "geojson"), Reader(node, "geojsonseq")
        while fast.read(FAST_BYTES):
            slow.read(SLOW_BYTES)
            most = max(most, memory(node, "RssAnon"))
        writes_beside_fast = writer.writes
        while slow.read(FAST_BYTES):
            most = max(most, memory(node, "RssAnon"))
        writer.done.set()
        writer.join()
        assert writer.failure is None, writer.failure
        for name, reader in (("fast", fast), ("slow", slow)):
            assert untouched <= reader.seen, f"{name}: {len(untouched - reader.seen)} are missing"
            assert not reader.twice & untouched, f"{name}: {len(reader.twice & untouched)} came twice"
            print(f"bulk: {name}, {len(untouched)} untouched listings each once: {reader}")
        assert b'"numberReturned":%d,' % len(fast.seen) in fast.tail, fast.tail[-300:]
        print(f"bulk: {writer.writes} writes, {writes_beside_fast} of them beside the fast reader; "
              f"memory of torgd's own {before >> 20} MiB before, {most >> 20} MiB at most; "
              f"with the store's pages {memory(node, 'VmHWM') >> 20} MiB at most")
        if COUNT >= GROWTH_COUNT_MIN:
            assert most - before < GROWTH_BYTES_MAX, (before, most)
        node.stop()


run(test_everything_while_listings_change)
