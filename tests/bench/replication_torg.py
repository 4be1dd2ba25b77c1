# SPDX-License-Identifier: EUPL-1.2
"""Ourselves: two torgd as they are installed, with TLS between them and their usual [limits], but
for the one on heads: a sample is a commit of one listing, and there are many a second."""
import http.client
import json
import pathlib
import re
import signal
import socket
import threading
import time

import replication_world as world

LOADERS = 4
MENDED_S = 1  # no step in so long: a pause of 0.25 s is enough for the next
EXAMPLE_CONF = pathlib.Path(__file__).resolve().parents[2] / "federation.conf"
HEADS = "heads = 0"
# As libpq. Python allocates so much for each call: a MiB, of which all but a page is given back at
# once, takes six times as long as the whole question.
RECEIVE_BYTES = 16384


class Client:
    """One connection that stays open. As thin as PostgreSQL's libpq: where a case asks again and
    again until it sees something, what http.client needs for a request would count as ours."""

    def __init__(self, port):
        self.port, self.socket = port, None

    def get(self, path):
        """Status and body; torgd ends a connection that is idle for long, so twice."""
        question = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()
        if self.socket:
            try:
                return self.ask(question)
            except OSError:
                self.socket.close()
        self.socket = socket.create_connection(("127.0.0.1", self.port), world.PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.ask(question)

    def ask(self, question):
        self.socket.sendall(question)
        answer = self.more(b"")
        while b"\r\n\r\n" not in answer:
            answer = self.more(answer)
        end = answer.index(b"\r\n\r\n") + 4
        size = int(re.search(rb"\r\ncontent-length: *([0-9]+)\r", answer[:end], re.I)[1])
        while len(answer) < end + size:
            answer = self.more(answer)
        return int(answer[9:12]), answer[end:]

    def more(self, answer):
        part = self.socket.recv(RECEIVE_BYTES)
        if not part:
            raise ConnectionResetError("the server has closed the connection")
        return answer + part


class Daemon:
    def __init__(self, programs, directory, name, listen):
        self.programs, self.name = programs, name
        self.directory = pathlib.Path(directory) / name
        self.conf = str(self.directory / "federation.conf")
        self.port, self.admin_port = world.free_port(), world.free_port()
        listen = f"127.0.0.1:{world.free_port()}" if listen else "none"
        self.torg("init", str(self.directory), "--name", name, "--kind", "association",
                  "--http", f"127.0.0.1:{self.port}", "--peer-listen", listen,
                  "--admin", f"127.0.0.1:{self.admin_port}")
        conf = pathlib.Path(self.conf)  # one client asks as fast as it can
        conf.write_text(conf.read_text().replace("[http]\n", "[http]\nrequests-per-address = 0\n", 1)
                        + "\n[limits]\n" + HEADS + "\n")
        self.card = self.directory / "card"
        self.card.write_text(self.torg("card", "--config", self.conf))
        self.process = None
        self.client = Client(self.port)

    def torg(self, *arguments):
        return world.run(self.programs.torg, *arguments)

    def start(self):
        self.process = world.Process([self.programs.torgd, "--config", self.conf],
                                     str(self.directory) + ".log")

    def wait_ready(self):
        def ready():
            self.process.check()
            try:
                return request(self.admin_port, "GET", "/readyz")[0] == 200
            except OSError:
                return False
        world.until("torgd is ready", ready)

    def settle(self):
        def quiet():
            nonlocal steps, since
            before, steps = steps, self.metric("torg_repack_steps_total")
            since = since if steps == before else time.monotonic()
            return time.monotonic() > since + MENDED_S
        steps, since = None, time.monotonic()
        world.until(f"{self.name} has mended all", quiet, 0.1)

    def metric(self, name):
        text = request(self.admin_port, "GET", "/metrics")[1].decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def end(self):
        if self.process:
            self.process.end()
        self.process = None

    def get(self, path):
        status, body = self.client.get("/torg/v1" + path)
        if status not in (200, 404):
            raise world.BenchError(f"GET {path}: {status} {body[:500]!r}")
        return body if status == 200 else None


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=world.PATIENCE_S)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def limits():
    """What torgd uses where a configuration says nothing else: what the example comments out."""
    lines, inside = [], False
    for line in EXAMPLE_CONF.read_text().splitlines():
        if line.startswith("["):
            inside = line.strip() == "[limits]"
        elif inside and "=" in line and not line.startswith("#"):
            lines.append(line.lstrip("; ").strip())
    return [HEADS if line.startswith("heads = ") else line for line in lines]


class Torg(world.Pair):
    name = "torg"

    def __init__(self, programs, directory):
        self.source = Daemon(programs, directory, "source", True)
        self.copy = Daemon(programs, directory, "copy", False)
        self.ids = {}
        self.heads = None
        for node, other, dial in ((self.copy, self.source, []), (self.source, self.copy, ["--no-dial"])):
            node.torg("peer", "add", other.name, str(other.card), *dial, "--config", node.conf)
        self.source.start()
        self.source.wait_ready()
        self.secret = (self.source.directory / "data" / "admin.secret").read_text().strip()

    def themes(self):
        """Those that have none below them."""
        found = []

        def walk(themes):
            for theme in themes:
                if theme.get("narrower"):
                    walk(theme["narrower"])
                else:
                    found.append(theme["slug"])
        walk(json.loads(self.source.get("/themes"))["themes"])
        return found

    def write(self, listings):
        status, body = request(self.source.admin_port, "POST", "/import?collection=offers",
                               world.collection(listings),
                               {"Authorization": f"Bearer {self.secret}",
                                "Content-Type": "application/geo+json"})
        answer = json.loads(body) if status == 200 else {}
        if status != 200 or answer["failed"] or len(answer["rows"]) != len(listings):
            raise world.BenchError(f"import: {status} {body[:2000]!r}")
        for listing, row in zip(listings, answer["rows"]):
            self.ids[listing.number] = row["id"]
        self.heads = None

    def load(self, listings):
        parts, failures = world.chunks(listings), []

        def work(turn):
            try:
                for part in parts[turn::LOADERS]:
                    self.write(part)
            except (OSError, world.BenchError) as error:
                failures.append(error)
        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(LOADERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise world.BenchError(str(failures[0]))

    def settle(self):
        """Trees are mended and words are merged when nothing is written for a while."""
        for node in (self.source, self.copy):
            if node.process:
                node.settle()

    def origin(self, node):
        return next((o for o in json.loads(node.get("/federation"))["origins"]
                     if o["name"] == "source"), None)

    def follow(self):
        self.copy.start()

    def leave(self):
        self.copy.end()

    def stall(self, stalled):
        self.copy.process.process.send_signal(signal.SIGSTOP if stalled else signal.SIGCONT)

    def has_all(self):
        """The copy says "complete" when its own roots are those of the source's signed head."""
        self.copy.process.check()
        if self.heads is None:
            self.heads = self.origin(self.source)["head"]["hno"]
        try:
            held = self.origin(self.copy)
        except OSError:
            return False  # it has only just started
        return bool(held and held["state"] == "complete" and held["head"]["hno"] >= self.heads)

    def shows(self, listing):
        body = self.copy.get("/collections/offers/items/" + self.ids[listing.number])
        return body is not None and f'"{listing.name()}"'.encode() in body

    def near(self, lon, lat):
        return len(self.copy.get("/collections/offers/items?limit=20&near=%.7f,%.7f" % (lon, lat)))

    def near_source(self, lon, lat):
        return len(self.source.get("/collections/offers/items?limit=20&near=%.7f,%.7f" %
                                   (lon, lat)))

    def pids(self):
        return [self.copy.process.process.pid]

    def end(self):
        if self.copy.process:
            self.copy.process.process.send_signal(signal.SIGCONT)
        self.copy.end()
        self.source.end()
