#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""What an open port meets: TLS, those who ask too often, proxies, and very many who ask nothing."""
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import time

from harness import PATIENCE_S, TORGD, Federation, feature, free_port, run, until

SLOW = int(os.environ.get("TORG_SLOW_CONNECTIONS", "1500"))
ITEMS = "/torg/v1/collections/offers/items"


def ask(node, path="/torg/v1/api-info", source="127.0.0.1", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=PATIENCE_S,
                                            source_address=(source, 0))
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def self_link(node, **kwargs):
    status, _, body = ask(node, "/torg/v1/?f=json", **kwargs)
    assert status in (200, 404), status
    if status == 404:
        status, _, body = ask(node, "/torg/v1?f=json", **kwargs)
    return next(link["href"] for link in json.loads(body)["links"] if link["rel"] == "self")


# ---- TLS

def make_certificate(directory, name):
    """A certificate for localhost, in place of what was there, as a renewal does it."""
    new = [directory / f"{name}.new", directory / f"{name}.key.new"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-out", new[0], "-keyout", new[1]], check=True, capture_output=True)
    new[1].rename(directory / f"{name}.key")
    new[0].rename(directory / name)


class Secure:
    """A connection with TLS that trusts exactly the certificate in file."""

    def __init__(self, port, file, **versions):
        context = ssl.create_default_context(cafile=file)
        for name, value in versions.items():
            setattr(context, name, value)
        self.connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_S,
                                                      context=context)

    def get(self, path):
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        return response.status, response.read()

    def version(self):
        return self.connection.sock.version()


def serves(port, file):
    """Does it show this certificate now?"""
    try:
        return Secure(port, file).get("/torg/v1/api-info")[0] == 200
    except ssl.SSLCertVerificationError:
        return False


def test_tls_and_its_renewal():
    with Federation() as federation:
        node = federation.found("A")
        port, file = free_port(), node.directory / "web.pem"
        node.configure("http", tls_listen=f"127.0.0.1:{port}", tls_certificate="web.pem",
                       tls_key="web.pem.key")
        refused = subprocess.run([TORGD, "--config", str(node.conf)], capture_output=True,
                                 text=True, timeout=PATIENCE_S, check=False)
        assert refused.returncode == 1 and "web.pem" in refused.stderr, refused
        assert "No such file" in refused.stderr and "[http]" in refused.stderr, refused
        assert "the port" not in refused.stderr, refused  # Nobody has it.
        make_certificate(node.directory, "web.pem")
        node.start()
        for i in range(40):
            node.publish("offers", feature(f"Bastu {i}", description={"sv": "å" * 2000}))
        secure = Secure(port, file)
        status, body = secure.get(ITEMS + "?limit=100")  # several records, and buffers
        assert status == 200 and len(json.loads(body)["features"]) == 40
        assert json.loads(body)["links"][0]["href"].startswith(f"https://localhost:{port}/"), body
        assert secure.get("/torg/v1/api-info")[0] == 200  # the connection stays
        assert secure.version() == "TLSv1.3"
        old = Secure(port, file, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert old.get("/torg/v1/api-info")[0] == 200 and old.version() == "TLSv1.2"
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                assert b"HTTP" not in plain.recv(1000)  # an alert, or nothing
            except ConnectionResetError:
                pass
        assert node.get("/torg/v1/api-info").status == 200  # the plain listener goes on
        # A renewal is noticed without a word, and at once with one.
        make_certificate(node.directory, "web.pem")
        until("the changed file is noticed", lambda: serves(port, file))
        make_certificate(node.directory, "web.pem")
        node.process.send_signal(signal.SIGHUP)
        until("the certificate is read again", lambda: serves(port, file))
        # What cannot be used changes nothing.
        before = (node.directory / "web.pem").read_text()
        (node.directory / "web.pem").write_text("no certificate")
        node.process.send_signal(signal.SIGHUP)
        until("the log names the file", lambda: "err" in node.log_tail()
              and "http.tls" in node.log_tail())
        (node.directory / "before.pem").write_text(before)
        assert serves(port, node.directory / "before.pem")
        node.stop()


def test_a_port_that_cannot_be_had_is_told_with_its_remedy():
    with Federation() as federation:
        node = federation.found("A")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            for listen, remedy in (("192.0.2.1:8480", "an address of this machine"),
                                   (f"127.0.0.1:{taken.getsockname()[1]}", "end the process")):
                node.configure("http", listen=listen)
                refused = subprocess.run([TORGD, "--config", str(node.conf)], capture_output=True,
                                         text=True, timeout=PATIENCE_S, check=False)
                assert refused.returncode == 1 and remedy in refused.stderr, refused


# ---- limits on requests

def statuses(node, count, **kwargs):
    return [ask(node, **kwargs)[0] for _ in range(count)]


def test_who_asks_too_often_waits():
    with Federation() as federation:
        node = federation.found("A")
        node.configure("http", requests_per_address=1, requests_per_token=1)
        node.start(ready=False)
        node.wait_ready()  # asks the operators' listener, which has no such limit
        began = time.monotonic()
        answers = statuses(node, 40)
        passed = answers.count(200)
        # Ten at once, and one for each second that went by meanwhile.
        assert 10 <= passed <= 11 + (time.monotonic() - began), answers
        assert set(answers) == {200, 429}, answers
        status, headers, body = ask(node)
        if status == 429:
            assert int(headers["Retry-After"]) >= 1, headers
            assert headers["Content-Type"] == "application/problem+json", headers
            assert "Too many requests" in json.loads(body)["detail"]
        assert ask(node, source="127.0.0.9")[0] == 200  # another address has its own
        # A token has its own as well, wherever it comes from.
        wrong = f"{ITEMS}/aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa"
        writes = [node.write("DELETE", f"/collections/offers/items/{wrong[len(ITEMS) + 1:]}").status
                  for _ in range(40)]
        assert writes[0] in (403, 404) and set(writes) == {writes[0], 429}, writes
        node.stop()


def test_proxies_are_believed_when_they_are_ours():
    with Federation() as federation:
        node = federation.found("A")
        node.configure("http", proxies="127.0.0.1, 10.0.0.0/8", requests_per_address=1)
        node.start(ready=False)
        node.wait_ready()

        def forwarded(**fields):
            return {name.replace("_", "-"): value for name, value in fields.items()}

        told = forwarded(X_Forwarded_For="198.51.100.1", X_Forwarded_Proto="https",
                         X_Forwarded_Host="torg.example")
        assert self_link(node, headers=told).startswith("https://torg.example/torg/v1")
        told = forwarded(Forwarded='for="[2001:db8::7]:4711";proto=https;host=b.example:8443')
        assert self_link(node, headers=told).startswith("https://b.example:8443/torg/v1")
        told = forwarded(X_Forwarded_For="198.51.100.2", X_Forwarded_Host='x"><script>')
        assert "script" not in self_link(node, headers=told)
        # A stranger's word is nothing.
        told = forwarded(X_Forwarded_For="198.51.100.3", X_Forwarded_Proto="https",
                         X_Forwarded_Host="evil.example")
        assert self_link(node, source="127.0.0.5", headers=told).startswith("http://127.0.0.1:")
        # What a client writes before its proxy does not make it another client.
        spoofed = [ask(node, headers=forwarded(X_Forwarded_For=f"192.0.2.{i}, 198.51.100.9, 10.1.1.1"))
                   [0] for i in range(40)]
        assert 429 in spoofed, spoofed
        assert ask(node, headers=forwarded(X_Forwarded_For="198.51.100.10"))[0] == 200
        node.stop()


# ---- those who ask nothing

def open_slow(node, number):
    """A head that does not end, from one of many addresses of this machine."""
    slow = socket.socket()
    slow.settimeout(PATIENCE_S)
    slow.bind((f"127.1.{number // 50 // 250}.{number // 50 % 250 + 1}", 0))
    slow.connect(("127.0.0.1", node.http_port))
    slow.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n"[:1 + number % 20])
    return slow


def test_very_many_slow_connections():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, SLOW + 500), hard))
    with Federation() as federation:
        node = federation.found("A")
        node.configure("http", connections=SLOW + 16)
        node.start()
        node.publish("offers", feature("Bastu"))
        slow, waits = [], []
        try:
            for i in range(SLOW + 200):  # more than there is room for: the oldest give way
                slow.append(open_slow(node, i))
                if i % 100 == 0:
                    began = time.monotonic()
                    assert node.get(ITEMS).status == 200
                    waits.append(time.monotonic() - began)
            for i in range(30):
                for one in slow[-200:]:
                    try:
                        one.sendall(b"X-A: b\r\n"[i % 8:i % 8 + 1])
                    except OSError:
                        pass  # its ten seconds are over
                began = time.monotonic()
                assert node.get(ITEMS).status == 200
                waits.append(time.monotonic() - began)
        finally:
            for one in slow:
                one.close()
        print(f"{SLOW} slow connections: the slowest of {len(waits)} good answers took "
              f"{max(waits) * 1000:.1f} ms")
        assert node.get(ITEMS).status == 200
        node.stop()


if __name__ == "__main__":
    run(test_tls_and_its_renewal,
        test_a_port_that_cannot_be_had_is_told_with_its_remedy,
        test_who_asks_too_often_waits,
        test_proxies_are_believed_when_they_are_ours,
        test_very_many_slow_connections)
