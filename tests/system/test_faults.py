# SPDX-License-Identifier: EUPL-1.2
"""Lines and neighbours that fail: each time all nodes hold the same in the end, and say so.

What would break unseen: a line that looks open and carries nothing; a copy that is killed again and
again; a disk that is full on the receiving side; a neighbour that wants to fill our memory.
"""
import copy
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import ssl
import struct
import subprocess

from harness import Federation, feature, free_port, run, torg, until
from proxy import Proxy
from test_trouble import seed_of, tls_context


def link_through(dialler, listener, proxy):
    torg("peer", "add", listener.directory.name, str(listener.card), "--address",
         f"127.0.0.1:{proxy.port}", "--config", str(dialler.conf))
    torg("peer", "add", dialler.directory.name, str(dialler.card), "--no-dial",
         "--config", str(listener.conf))


def publish_many(node, count, word, size=200):
    """One import: commits of 1000."""
    lines = [feature(f"{word} {i}", lon=17.9 + i % 50 / 100, lat=66.0 + i // 50 / 100,
                     description={"sv": f"{word} " * (size // 8)}) for i in range(count)]
    path = node.directory / "many.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": lines}))
    torg("import", "--config", str(node.conf), "--collection", "offers", str(path))


def assert_right(*nodes):
    for node in nodes:
        node.stop()
        done = node.verify()
        assert done.returncode == 0, done.stdout


def test_slow_line_is_cut_and_noisy():
    """The first connection ends in the middle of the copy, the second is damaged on its way."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        publish_many(alfa, 1500, "Röding")
        with Proxy(alfa.peer_port, delay_s=0.02) as proxy:
            link_through(beta, alfa, proxy)
            alfa.process.send_signal(1)  # SIGHUP: read the configuration again
            proxy.cut_after(60000)
            beta.start()
            until("the line is cut", lambda: proxy.cut_done)
            proxy.corrupt_after(60000)
            until("the line is noisy", lambda: proxy.corrupt_done)
            federation.wait_equal()
            assert proxy.accepted >= 3, proxy.accepted
            assert beta.api("/search", q="röding")["numberMatched"] == 1500
            assert_right(alfa, beta)


def test_half_open_line():
    """The direct line takes everything and delivers nothing: the way through the third is found."""
    with Federation() as federation:
        alfa, beta, gamma = (federation.found(name) for name in ("Alfa", "Beta", "Gamma"))
        with Proxy(alfa.peer_port) as proxy:
            link_through(beta, alfa, proxy)
            federation.link(gamma, alfa)
            federation.link(beta, gamma)
            for node in federation.nodes:
                node.start()
            alfa.publish("offers", feature("Före"))
            federation.wait_equal()
            assert proxy.passed > 0, "the direct line was not in use"
            proxy.frozen = True
            for i in range(5):
                alfa.publish("offers", feature(f"Under {i}"))
            until("all comes through Gamma",
                  lambda: beta.api("/search", q="under")["numberMatched"] == 5)
            proxy.frozen = False
            alfa.publish("offers", feature("Efter"))
            federation.wait_equal()


def test_killed_while_it_copies():
    """kill -9 whenever some more has come: what is there is right, and it goes on from there."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        publish_many(alfa, 2000, "Sik")
        with Proxy(alfa.peer_port) as proxy:
            link_through(beta, alfa, proxy)
            alfa.process.send_signal(1)
            for more in (20000, 150000, 400000):
                before = proxy.passed
                beta.start(ready=False)
                until("some of it has come", lambda: proxy.passed >= before + more or
                      beta.origins().get("Alfa", {}).get("state") == "complete")
                beta.kill()
                done = beta.verify()
                assert done.returncode == 0, done.stdout
            beta.start()
            federation.wait_equal()
            assert_right(alfa, beta)


def test_full_disk_of_a_copy():
    """A limit on files stands for the disk. It costs no listing, no crash, and can be seen."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        federation.link(beta, alfa)
        alfa.process.send_signal(1)
        kept = alfa.publish("offers", feature("Först"))
        beta.start()
        federation.wait_equal()
        own = beta.publish("offers", feature("Egen"))
        beta.stop()
        size = (beta.directory / "data" / "torg.mdb").stat().st_size
        limit = size + 300000
        publish_many(alfa, 1500, "Harr", size=800)
        beta.start(ready=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                      (limit, limit)))

        def troubled():
            assert beta.process.poll() is None, beta.log_tail()
            return re.search(r"error writer\.(failed|full)", beta.log_tail(400))
        until("the full disk is in the log", troubled)
        until("the health check says so",
              lambda: beta.get("/readyz", port=beta.admin_port).status == 503)
        for listing in (kept, own):
            assert beta.get(f"/torg/v1/collections/offers/items/{listing}").status == 200
        beta.kill()
        beta.start()
        federation.wait_equal()
        assert beta.get(f"/torg/v1/collections/offers/items/{own}").status == 200
        assert_right(alfa, beta)


def clone(federation, node):
    """The same keys and data on another host: what a copied virtual machine is."""
    twin = copy.copy(node)
    twin.directory = node.directory.parent / "twin"
    shutil.copytree(node.directory, twin.directory)
    twin.conf = twin.directory / "federation.conf"
    twin.log = node.directory.parent / "twin.log"
    text = twin.conf.read_text().replace(str(node.directory), str(twin.directory))
    for kind in ("http_port", "peer_port", "admin_port"):
        port = free_port()
        text = text.replace(f"127.0.0.1:{getattr(node, kind)}", f"127.0.0.1:{port}")
        setattr(twin, kind, port)
    twin.conf.write_text(text)
    federation.nodes.append(twin)
    return twin


def test_two_hosts_with_one_key():
    """They hear of each other through a neighbour, and one of them stops writing."""
    with Federation() as federation:
        alfa, beta = federation.found("Alfa"), federation.found("Beta")
        federation.link(alfa, beta)
        # Before the first start: a neighbour passes eight beats on at once, then one a minute.
        twin = clone(federation, alfa)
        beta.start()
        alfa.start()
        alfa.publish("offers", feature("Av den ena"))
        until("Beta has it", lambda: beta.api("/search", q="ena")["numberMatched"] == 1)
        twin.start(ready=False)

        def one_has_stopped():
            answers = [node.get("/readyz", port=node.admin_port) for node in (alfa, twin)]
            return any(b"another host" in answer.body for answer in answers)
        until("one of the two has stopped and says why", one_has_stopped)
        assert any("writer.rival" in node.log_tail(400) for node in (alfa, twin))
        assert alfa.get("/torg/v1/search").status == 200  # reads go on


# -- a neighbour that means harm

def pack(value):
    """msgpack of what frames are made of."""
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        for top, head in ((0x80, ">B"), (0x100, ">BB"), (0x10000, ">BH"), (1 << 32, ">BI"),
                          (1 << 53, ">BQ")):
            if value < top:
                tag = {">BB": 0xcc, ">BH": 0xcd, ">BI": 0xce, ">BQ": 0xcf}.get(head)
                return struct.pack(head, value) if tag is None else struct.pack(head, tag, value)
    if isinstance(value, str):
        data = value.encode()
        return bytes([0xa0 + len(data)]) + data
    if isinstance(value, bytes):
        return bytes([0xc4, len(value)]) + value
    return bytes([0x90 + len(value)]) + b"".join(pack(item) for item in value)


def frame(kind, *fields):
    body = pack(list(fields))
    return struct.pack(">IBB", len(body) + 2, kind, 0) + body


def hello():
    return frame(0x01, "torg", 1, 1, 0, None, [1 << 20, 1 << 22], 1_790_000_000_000, "evil", 7)


def resident(node):
    text = pathlib.Path(f"/proc/{node.process.pid}/smaps_rollup").read_text()
    # What is its own: the pages of the map of its file are the kernel's.
    return int(re.search(r"Private_Dirty:\s+(\d+) kB", text)[1]) * 1024


def push(connection, data):
    """All of it, or until the other side has had enough."""
    connection.settimeout(0.5)
    try:
        connection.sendall(data)
    except (OSError, ssl.SSLError):
        return False
    return True


def test_memory_under_a_hostile_peer():
    """Requests whose answers nobody reads, frames that never end, floods of hints."""
    bound = 16 << 20  # a connection: credits of 5 MiB, a queue of 2 MiB, a frame, and what TLS has
    with Federation() as federation:
        alfa, beta = federation.line("Alfa", "Beta")
        alfa.start()
        publish_many(alfa, 3000, "Abborre", size=400)
        origin = bytes.fromhex(alfa.origins()["Alfa"]["id"])
        context = tls_context(seed_of(beta), federation.directory)
        trie = frame(0x0d, 1, origin, 2, bytes(32), 512, [bytes([i]) for i in range(15)])
        pull = frame(0x0b, 2, origin, 4, 0, 1, 1, bytes(32))
        have = frame(0x04, [[origin, 1, 1 << 40, 1 << 40, bytes(16), 4, 0, 0]] * 15)
        before = resident(alfa)
        worst = 0
        # More than all buffers on the way hold: until nobody reads any more, or all is thrown away.
        for attack in (trie, pull, have, struct.pack(">IBB", 262144, 0x08, 0) + bytes(200000),
                       frame(0x16, 1, 2, 3)):
            attack *= (12 << 20) // len(attack)
            with socket.create_connection(("127.0.0.1", alfa.peer_port)) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                with context.wrap_socket(raw) as connection:
                    push(connection, hello() + frame(0x02, [[None, 0xfffe]]))
                    for at in range(0, len(attack), 65536):
                        if at % (1 << 20) == 0:
                            worst = max(worst, resident(alfa) - before)
                        if not push(connection, attack[at:at + 65536]):
                            break
                    worst = max(worst, resident(alfa) - before)
            assert alfa.publish("offers", feature("Under tiden"))
        print(f"memory of a connection under attack: at most {worst / 2**20:.1f} MiB more")
        sanitized = "asan" in os.environ.get("TORG_BUILD", "") or \
            "tsan" in os.environ.get("TORG_BUILD", "")
        assert sanitized or worst < bound, worst
        beta.start()
        federation.wait_equal()


# -- a network of its own

class Network:
    """A namespace at the other end of a pair of veth; None of it stays."""

    def __init__(self):
        number = free_port()
        self.name = f"torg{number}"
        self.here, self.there = f"tv{number}a", f"tv{number}b"
        net = f"10.{200 + number % 50}.{number // 50 % 250}"
        self.here_ip, self.there_ip = net + ".1", net + ".2"

    def __enter__(self):
        for command in (f"ip netns add {self.name}",
                        f"ip link add {self.here} type veth peer name {self.there}",
                        f"ip link set {self.there} netns {self.name}",
                        f"ip addr add {self.here_ip}/30 dev {self.here}",
                        f"ip link set {self.here} up",
                        f"ip -n {self.name} addr add {self.there_ip}/30 dev {self.there}",
                        f"ip -n {self.name} link set {self.there} up",
                        f"ip -n {self.name} link set lo up"):
            subprocess.run(command.split(), check=True, capture_output=True)
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["ip", "link", "del", self.here], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def inside(self, *command, **kwargs):
        return subprocess.run(["ip", "netns", "exec", self.name, *command], check=True,
                              capture_output=True, **kwargs)

    def lose(self, percent):
        rules = "flush ruleset\n"
        if percent:
            rules += ("add table inet torg\n"
                      "add chain inet torg in { type filter hook input priority 0; }\n"
                      f"add rule inet torg in numgen random mod 100 < {percent} drop\n")
        self.inside("nft", "-f", "-", input=rules.encode())

    def up(self, is_up):
        subprocess.run(["ip", "link", "set", self.here, "up" if is_up else "down"], check=True)


def namespaces_work():
    if os.getuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        return False
    try:
        with Network() as network:
            network.lose(1)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def test_losses_and_a_link_that_is_down():
    if not namespaces_work():
        print("skipped: network namespaces, veth and nftables need root and their packages")
        return
    with Federation() as federation, Network() as network:
        alfa, beta = federation.found("Alfa"), federation.found("Beta")
        alfa.conf.write_text(alfa.conf.read_text().replace(
            f"127.0.0.1:{alfa.peer_port}", f"{network.here_ip}:{alfa.peer_port}"))
        beta.conf.write_text(beta.conf.read_text().replace(
            f"127.0.0.1:{beta.http_port}", f"{network.there_ip}:{beta.http_port}"))
        beta.host = network.there_ip
        torg("peer", "add", "alfa", str(alfa.card), "--address",
             f"{network.here_ip}:{alfa.peer_port}", "--config", str(beta.conf))
        torg("peer", "add", "beta", str(beta.card), "--no-dial", "--config", str(alfa.conf))
        alfa.start()
        publish_many(alfa, 300, "Gädda")
        network.lose(10)
        beta.start(ready=False, prefix=["ip", "netns", "exec", network.name])
        until("the copy is there in spite of losses",
              lambda: beta.api("/search", q="gädda")["numberMatched"] == 300)
        network.lose(0)
        network.up(False)
        alfa.publish("offers", feature("Under avbrottet"))
        network.up(True)
        until("what came meanwhile is there",
              lambda: beta.api("/search", q="avbrottet")["numberMatched"] == 1)
        assert_right(alfa, beta)


if __name__ == "__main__":
    run(test_slow_line_is_cut_and_noisy,
        test_half_open_line,
        test_killed_while_it_copies,
        test_full_disk_of_a_copy,
        test_two_hosts_with_one_key,
        test_memory_under_a_hostile_peer,
        test_losses_and_a_link_that_is_down)
