#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""What goes wrong in years of operation: each time a clear message, and nothing lost."""
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess

from harness import PATIENCE_S, TORGD, Federation, feature, run, until


def refused(node, text):
    """torgd must not start, and must say text."""
    done = subprocess.run([TORGD, "--config", str(node.conf)], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode != 0, done
    assert text in done.stderr, f"{text!r} is not in:\n{done.stderr}"


def test_wrong_configuration_names_file_line_and_remedy():
    with Federation() as federation:
        node = federation.found("A")
        good = node.conf.read_text()
        lines = good.count("\n")
        for wrong, expected in [
            ("[htttp]\nlisten = 127.0.0.1:1\n", "accepted"),
            ("[http]\nlissten = 127.0.0.1:1\n", "accepted"),
            ("[http]\nlisten = nonsense\n", "accepted"),
            ("[limits]\nmap-size = -3\n", "accepted"),
            ("[peer x]\nkey = 1234\n", "accepted"),
            ("[trust]\norigin x = zz\n", "accepted"),
        ]:
            node.conf.write_text(good + wrong)
            refused(node, expected)
            done = subprocess.run([TORGD, "--check-config", str(node.conf)], capture_output=True,
                                  text=True, check=False)
            assert done.returncode != 0
            place = re.search(r"federation\.conf:(\d+)", done.stderr)
            assert place and int(place[1]) > lines, done.stderr
        node.conf.write_text(good)
        node.start()


def test_second_daemon_on_one_directory_is_refused():
    with Federation() as federation:
        node = federation.found("A").start()
        refused(node, str(node.directory / "data"))
        assert node.get("/torg/v1/collections").status == 200


def test_port_in_use_is_named():
    with Federation() as federation:
        a, b = federation.found("A").start(), federation.found("B")
        b.conf.write_text(b.conf.read_text().replace(str(b.http_port), str(a.http_port)))
        refused(b, str(a.http_port))


def test_missing_key_and_foreign_directory():
    with Federation() as federation:
        node = federation.found("A")
        key = node.directory / "keys" / "signing.key"
        kept = key.read_text()
        key.unlink()
        refused(node, "signing.key")
        key.write_text(kept)
        key.chmod(0o644)
        refused(node, "signing.key")
        key.chmod(0o600)
        shutil.move(node.directory / "data", node.directory / "elsewhere")
        (node.directory / "data").mkdir()
        refused(node, "torg init")


def test_full_map_refuses_writes_and_keeps_reads():
    with Federation() as federation:
        node = federation.found("A")
        node.conf.write_text(node.conf.read_text() + "\n[limits]\nmap-size = 16 MiB\n")
        node.start()
        acknowledged, answer = [], None
        for i in range(5000):
            answer = node.write("POST", "/collections/offers/items",
                                feature(f"Fyller {i}", description={"sv": "x" * 8000}))
            if answer.status != 201:
                break
            acknowledged.append(answer.json()["id"])
        assert answer.status in (503, 507), answer
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert len(acknowledged) > 10
        for listing in acknowledged:
            assert node.get(f"/torg/v1/collections/offers/items/{listing}").status == 200
        gone = node.write("DELETE", f"/collections/offers/items/{acknowledged[0]}")
        assert gone.status in (200, 204), f"no room to delete: {gone}"
        node.kill()
        node.start()
        for listing in acknowledged[1:]:
            assert node.get(f"/torg/v1/collections/offers/items/{listing}").status == 200
        node.stop()
        assert node.verify().returncode == 0


def test_full_disk_loses_nothing():
    """A file size limit stands for the disk: the write fails in the middle of a commit."""
    with Federation() as federation:
        node = federation.found("A").start()
        first = [node.publish("offers", feature(f"Före {i}")) for i in range(20)]
        node.stop()
        size = max(path.stat().st_size for path in (node.directory / "data").iterdir())
        limit = size + 256 * 1024
        node.start(preexec_fn=lambda: __import__("resource").setrlimit(
            __import__("resource").RLIMIT_FSIZE, (limit, limit)))
        acknowledged, answer = [], None
        for i in range(2000):
            answer = node.write("POST", "/collections/offers/items",
                                feature(f"Under {i}", description={"sv": "y" * 8000}))
            if answer.status != 201:
                break
            acknowledged.append(answer.json()["id"])
        assert answer.status in (503, 507), answer
        for listing in first + acknowledged:
            assert node.get(f"/torg/v1/collections/offers/items/{listing}").status == 200
        node.kill()
        node.start()
        for listing in first + acknowledged:
            assert node.get(f"/torg/v1/collections/offers/items/{listing}").status == 200
        assert node.publish("offers", feature("Efter"))
        node.stop()
        assert node.verify().returncode == 0


def test_restored_database_recovers_from_its_peers():
    """An old copy of the data must not sign a second head with a number that is taken."""
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        b.start()
        early = a.publish("offers", feature("Tidig"))
        federation.wait_equal()
        a.stop()
        backup = federation.directory / "backup"
        shutil.copytree(a.directory / "data", backup)
        a.start()
        late = a.publish("offers", feature("Sen"))
        federation.wait_equal()
        a.stop()
        # The database is old, the guard beside it is not.
        for path in backup.iterdir():
            if "guard" not in path.name and "lock" not in path.name:
                shutil.copy2(path, a.directory / "data" / path.name)
        a.start(ready=False)
        until("A answers reads", lambda: a.get("/torg/v1/collections").status == 200)
        a.wait_ready()
        for listing in (early, late):
            assert a.get(f"/torg/v1/collections/offers/items/{listing}").status == 200
        a.publish("offers", feature("Efteråt"))
        federation.wait_equal()


def test_guard_ahead_and_no_peer_refuses_writes():
    with Federation() as federation:
        a = federation.found("A").start()
        a.publish("offers", feature("Ett"))
        a.stop()
        backup = federation.directory / "backup"
        shutil.copytree(a.directory / "data", backup)
        a.start()
        a.publish("offers", feature("Två"))
        a.publish("offers", feature("Tre"))
        a.stop()
        for path in backup.iterdir():
            if "guard" not in path.name and "lock" not in path.name:
                shutil.copy2(path, a.directory / "data" / path.name)
        token = a.token
        a.start(ready=False)
        until("A answers reads", lambda: a.get("/torg/v1/collections").status == 200)
        answer = a.request("POST", "/torg/v1/collections/offers/items", body=feature("Fyra"),
                           headers={"Authorization": f"Bearer {token()}",
                                    "Content-Type": "application/geo+json"})
        assert answer.status == 503, answer
        assert "ecover" in answer.body.decode(), answer
        assert a.get("/readyz", port=a.admin_port).status == 503


# -- hostile peers

PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


def tls_context(seed, directory):
    """A TLS client that proves the Ed25519 key of seed, as torgd's peers do."""
    key = pathlib.Path(directory) / "peer.pem"
    certificate = pathlib.Path(directory) / "peer.crt"
    der = pathlib.Path(directory) / "peer.der"
    der.write_bytes(PKCS8_ED25519 + seed)
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", str(der), "-out", str(key)],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-x509", "-key", str(key), "-subj", "/CN=peer", "-days", "2",
                    "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context


def seed_of(node):
    text = (node.directory / "keys" / "node.key").read_text()
    return bytes.fromhex([line for line in text.splitlines() if not line.startswith("#")][0])


def closes(connection):
    """The other side closes within its patience, whatever it says before."""
    connection.settimeout(PATIENCE_S)
    try:
        while connection.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError, TimeoutError) as error:
        assert not isinstance(error, TimeoutError), "the connection stayed open"


def frame(kind, payload, length=None):
    return struct.pack(">IBB", length or len(payload) + 2, kind, 0) + payload


def test_hostile_peer_is_closed_with_a_reason_and_changes_nothing():
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        kept = a.publish("offers", feature("Står kvar"))
        before = a.roots()
        context = tls_context(seed_of(b), federation.directory)
        for attack in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10,      # another protocol
            os.urandom(4096),                               # noise
            struct.pack(">IBB", 0xffffffff, 1, 0),          # a length of 4 GB
            struct.pack(">IBB", 0, 1, 0),                   # no type at all
            frame(1, b"\xdd\xff\xff\xff\xff"),              # an array of four milliards
            frame(1, b"\x91" * 200 + b"\xc0"),              # depth
            frame(8, b"\x92\x92\xc4\x01\x00\xc4\x01\x00\x90"),  # a batch before hello
            frame(99, b"\x90"),                             # an unknown frame before hello
        ]:
            with socket.create_connection(("127.0.0.1", a.peer_port)) as raw:
                with context.wrap_socket(raw) as connection:
                    connection.sendall(attack)
                    closes(connection)
        text = until("the log names the reason",
                     lambda: [line for line in a.log_tail(400).splitlines()
                              if "peer.closed" in line and "reason=" in line])
        assert text
        assert a.roots() == before
        assert a.get(f"/torg/v1/collections/offers/items/{kept}").status == 200
        b.start()
        until("B still gets in", lambda: b.api("/search", q="kvar")["numberMatched"] == 1)


def test_stranger_is_refused_by_tls():
    with Federation() as federation:
        a, _ = federation.line("A", "B")
        a.start()
        context = tls_context(os.urandom(32), federation.directory)
        with socket.create_connection(("127.0.0.1", a.peer_port)) as raw:
            try:
                with context.wrap_socket(raw) as connection:
                    # In TLS 1.3 the client learns of it with its first read.
                    assert connection.recv(1) == b""
            except (ssl.SSLError, ConnectionError):
                pass
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", a.peer_port)) as raw:
            try:
                old.wrap_socket(raw)
                raise AssertionError("TLS 1.2 was accepted")
            except (ssl.SSLError, ConnectionError):
                pass


def test_silent_connections_do_not_keep_peers_out():
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        idle = [socket.create_connection(("127.0.0.1", a.peer_port)) for _ in range(50)]
        a.publish("offers", feature("Trots allt"))
        b.start()
        until("B gets in beside them", lambda: b.api("/search", q="trots")["numberMatched"] == 1)
        for connection in idle:
            connection.close()


def test_peer_that_stops_reading():
    """SIGSTOP: a peer that takes nothing must not hold up the others."""
    with Federation() as federation:
        a, b, c = federation.found("A"), federation.found("B"), federation.found("C")
        federation.link(b, a)
        federation.link(c, a)
        federation.trust(b, c)
        federation.trust(c, b)
        for node in federation.nodes:
            node.start()
        a.publish("offers", feature("Först"))
        federation.wait_equal()
        b.process.send_signal(19)  # SIGSTOP
        try:
            for i in range(20):
                a.publish("offers", feature(f"Mera {i}", description={"sv": "z" * 4000}))
            until("C has all", lambda: c.api("/search", q="mera")["numberMatched"] == 20)
        finally:
            b.process.send_signal(18)  # SIGCONT
        federation.wait_equal()


if __name__ == "__main__":
    run(test_wrong_configuration_names_file_line_and_remedy,
        test_second_daemon_on_one_directory_is_refused,
        test_port_in_use_is_named,
        test_missing_key_and_foreign_directory,
        test_full_map_refuses_writes_and_keeps_reads,
        test_full_disk_loses_nothing,
        test_restored_database_recovers_from_its_peers,
        test_guard_ahead_and_no_peer_refuses_writes,
        test_hostile_peer_is_closed_with_a_reason_and_changes_nothing,
        test_stranger_is_refused_by_tls,
        test_silent_connections_do_not_keep_peers_out,
        test_peer_that_stops_reading)
