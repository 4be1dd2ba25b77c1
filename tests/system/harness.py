# SPDX-License-Identifier: EUPL-1.2
"""Real daemons on loopback, for the system tests.

A test makes a Federation in a scratch directory, founds nodes, starts them and
asks them over HTTP. Nothing here sleeps to wait for a thing that it can watch:
`until` polls a condition and fails with what was last seen.
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

TORGD = os.environ["TORGD"]
TORG = os.environ["TORG"]
# Sanitizers and a loaded machine are slow; a wait is a limit, never a measurement.
PATIENCE_S = float(os.environ.get("TORG_TEST_PATIENCE", "180"))

# Below the ports that the kernel gives to connections, or one of those could take a daemon's port
# between its choice and its start; above what services and tools/demo use.
PORTS = range(20000, 32000)
_ports_claimed = {}


def free_port():
    """A port that nobody listens on and that no other test, running beside this one, was given.

    A claim is an abstract Unix socket named after the port, which the kernel takes back when this
    process ends, however it ends.
    """
    while True:
        port = random.choice(PORTS)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0torg-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _ports_claimed[port] = claim
        return port


def until(what, condition, seconds=PATIENCE_S):
    """Poll condition until it returns something true, and return that."""
    deadline = time.monotonic() + seconds
    seen = None
    while time.monotonic() < deadline:
        try:
            seen = condition()
        except (OSError, http.client.HTTPException) as error:
            seen = error
        else:
            if seen:
                return seen
        time.sleep(0.02)
    raise AssertionError(f"gave up after {seconds:.0f} s waiting until {what}; last seen: {seen!r}")


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Node:
    """One municipality: its directory, its configuration, its daemon."""

    def __init__(self, directory, name, municipality=None, kind="municipality", listen=True):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.conf = self.directory / "federation.conf"
        self.log = self.directory.parent / f"{self.directory.name}.log"
        self.host = "127.0.0.1"
        self.http_port = free_port()
        self.peer_port = free_port() if listen else None
        self.admin_port = free_port()
        self.process = None
        self._token = None
        arguments = ["init", str(self.directory), "--name", name, "--kind", kind,
                     "--http", f"127.0.0.1:{self.http_port}",
                     "--peer-listen", f"127.0.0.1:{self.peer_port}" if listen else "none",
                     "--admin", f"127.0.0.1:{self.admin_port}"]
        if municipality:
            arguments += ["--municipality", municipality]
        torg(*arguments)
        # Tests ask as fast as they can, and all from one address.
        self.configure("http", requests_per_address=0, requests_per_token=0)
        self.card = self.directory / "card"
        self.card.write_text(torg("card", "--config", str(self.conf)).stdout)

    def configure(self, section, **keys):
        """Set keys, with _ for -, of a section that the configuration has."""
        lines, here = [], None
        for line in self.conf.read_text().splitlines():
            if line.startswith("["):
                here = line.strip("[]")
            if here != section or line.split("=")[0].strip().replace("-", "_") not in keys:
                lines.append(line)
            if line == f"[{section}]":
                lines += [f"{key.replace('_', '-')} = {value}" for key, value in keys.items()]
        self.conf.write_text("\n".join(lines) + "\n")

    # -- the process

    def start(self, ready=True, prefix=(), **kwargs):
        """prefix: a command that runs torgd, and becomes it."""
        assert self.process is None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*prefix, TORGD, "--config", str(self.conf)],
                                            stdout=log, stderr=log, **kwargs)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"torgd of {self.name} ended with {self.process.returncode}:\n"
                                     + self.log_tail())
            return self.get("/readyz", port=self.admin_port).status == 200
        until(f"{self.name} is ready", is_ready)

    def stop(self):
        """An orderly end, which must be clean."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        assert code == 0, f"torgd of {self.name} ended with {code}:\n{self.log_tail()}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def log_tail(self, lines=30):
        if not self.log.exists():
            return "(never started)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # -- HTTP

    def request(self, method, path, body=None, headers=None, port=None, timeout=PATIENCE_S):
        connection = http.client.HTTPConnection(self.host, port or self.http_port,
                                                timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, port=None, headers=None, **parameters):
        if parameters:
            path += "?" + urllib.parse.urlencode(parameters, doseq=True)
        return self.request("GET", path, port=port, headers=headers)

    def api(self, path, **parameters):
        """A GET under the base path that must succeed, as JSON."""
        answer = self.get("/torg/v1" + path, **parameters)
        assert answer.status == 200, f"{path} {parameters}: {answer}"
        return answer.json()

    def token(self):
        if self._token is None:
            self._token = torg("token", "create", "--label", "test",
                               "--config", str(self.conf)).stdout.strip()
        return self._token

    def write(self, method, path, body=None, headers=None, timeout=PATIENCE_S):
        all_headers = {"Authorization": f"Bearer {self.token()}"}
        if body is not None:
            all_headers["Content-Type"] = "application/geo+json"
        if method in ("PUT", "PATCH"):
            all_headers["If-Match"] = "*"
        all_headers.update(headers or {})
        return self.request(method, "/torg/v1" + path, body=body, headers=all_headers,
                            timeout=timeout)

    def publish(self, collection, feature):
        answer = self.write("POST", f"/collections/{collection}/items", feature)
        assert answer.status == 201, answer
        return answer.json()["id"]

    # -- what it holds

    def origins(self):
        return {origin["name"]: origin for origin in self.api("/federation")["origins"]}

    def roots(self):
        """What identifies the whole complete state of every origin."""
        return {name: (o["head"]["epoch"], o["head"]["hno"],
                       tuple((c["number"], c["count"], c["root"]) for c in o["collections"]))
                for name, o in self.origins().items() if o["state"] == "complete"}

    def verify(self):
        return torg("verify", str(self.directory / "data"), check=False)


class Federation:
    """Nodes in a scratch directory, all stopped and removed at the end."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="torg-test-"))
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for node in self.nodes:
            if node.process is not None:
                if kind is not None:
                    print(f"--- {node.name}\n{node.log_tail()}", file=sys.stderr)
                with contextlib.suppress(ProcessLookupError):
                    node.process.kill()
                node.process.wait()
            elif kind is not None:
                print(f"--- {node.name} (stopped)\n{node.log_tail()}", file=sys.stderr)
        subprocess.run(["rm", "-rf", str(self.directory)], check=False)

    def found(self, name, **kwargs):
        node = Node(self.directory / name.lower(), name, **kwargs)
        self.nodes.append(node)
        return node

    def link(self, dialler, listener):
        """dialler dials listener; both trust each other's origin."""
        torg("peer", "add", listener.directory.name, str(listener.card),
             "--config", str(dialler.conf))
        torg("peer", "add", dialler.directory.name, str(dialler.card), "--no-dial",
             "--config", str(listener.conf))

    def trust(self, node, origin):
        torg("peer", "add", origin.directory.name, str(origin.card), "--trust-only",
             "--config", str(node.conf))

    def line(self, *names, **kwargs):
        """Nodes in a row, each dialling the one before, all trusting all."""
        nodes = [self.found(name, **kwargs) for name in names]
        for i, node in enumerate(nodes):
            for j, other in enumerate(nodes):
                if j == i - 1:
                    self.link(node, other)
                elif abs(i - j) > 1:
                    self.trust(node, other)
        return nodes

    def wait_equal(self, nodes=None):
        """Until every node holds the same of every origin, as each origin itself has it."""
        nodes = nodes or self.nodes

        def equal():
            roots = [node.roots() for node in nodes]
            own = {node.name: held[node.name] for node, held in zip(nodes, roots)
                   if node.name in held}
            return all(held == roots[0] for held in roots) and \
                all(roots[0].get(name) == root for name, root in own.items()) and roots
        until("all nodes hold the same", equal)


def torg(*arguments, check=True, timeout=600, **kwargs):
    done = subprocess.run([TORG, *arguments], capture_output=True, text=True, timeout=timeout,
                          **kwargs)
    assert not check or done.returncode == 0, \
        f"torg {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def feature(name, lon=20.2630, lat=63.8258, theme="food/cafe", **properties):
    return {"type": "Feature",
            "geometry": None if lon is None else {"type": "Point", "coordinates": [lon, lat]},
            "properties": {"name": {"sv": name}, "themes": [theme], **properties}}


def run(*tests):
    """Run the tests named on the command line, or all; one line each."""
    wanted = sys.argv[1:]
    failed = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        started = time.monotonic()
        try:
            test()
        except Exception as error:  # noqa: BLE001: a test may fail in any way
            import traceback
            traceback.print_exc()
            print(f"[  FAILED  ] 1 test: {test.__name__}: {error}")
            failed += 1
        else:
            print(f"[  PASSED  ] 1 test: {test.__name__} ({time.monotonic() - started:.1f} s)")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
