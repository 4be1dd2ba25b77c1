# SPDX-License-Identifier: EUPL-1.2
"""Snapshot files: a new node from a USB stick, and everything that may be wrong with one.

What would break unseen: listings that their origin did not sign or has deleted, taken from a file;
an old file that takes newer listings back; a file cut short that looks like a whole one.
"""
import hashlib
import json
import pathlib
import subprocess

from harness import TORG, Federation, feature, run, torg


def snapshot(node, verb, path, check=True):
    return torg("snapshot", verb, str(path), "--config", str(node.conf), check=check)


def refused(node, path, *words):
    done = snapshot(node, "import", path, check=False)
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    for word in words:
        assert word in done.stderr, f"{word!r} is not in {done.stderr!r}"


def names(node):
    items = node.api("/collections/offers/items", limit=10000)["features"]
    return sorted(item["properties"]["name"]["sv"] for item in items)


def publish_many(node, count, word):
    lines = [feature(f"{word} {i}", lon=17.9 + i % 50 / 100, lat=66.0 + i // 50 / 100)
             for i in range(count)]
    path = node.directory / "many.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": lines}))
    torg("import", "--config", str(node.conf), "--collection", "offers", str(path))


def test_new_node():
    """Everything, without a line; again, an older and a newer one; then the peers go on."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        stick = federation.directory / "alfa.torg"
        publish_many(alfa, 1500, "Röding")
        gone = alfa.publish("offers", feature("Borta"))
        alfa.publish("events", feature("Marknad", start="2030-01-01T10:00:00Z"))
        snapshot(alfa, "export", stick)  # torgd is running
        old = federation.directory / "old.torg"
        stick.rename(old)
        assert alfa.write("DELETE", f"/collections/offers/items/{gone}").status == 204
        publish_many(alfa, 20, "Sik")
        snapshot(alfa, "export", stick)

        refused(beta, old, "does not trust", "torg peer add")
        federation.link(beta, alfa)
        assert "all verified" in snapshot(beta, "import", old).stdout
        assert "held already" in snapshot(beta, "import", old).stdout
        assert "all verified" in snapshot(beta, "import", stick).stdout  # one less, twenty more
        assert "or a newer one" in snapshot(beta, "import", old).stdout
        assert beta.verify().returncode == 0, beta.verify().stdout

        own = names(alfa)
        alfa.stop()
        beta.start()
        assert names(beta) == own and "Borta" not in own
        held = beta.origins()["Alfa"]
        assert held["state"] == "complete", held
        refused(beta, stick, "torgd is running")
        alfa.start()
        late = alfa.publish("offers", feature("Senare"))
        federation.wait_equal()
        assert beta.api(f"/collections/offers/items/{late}")["properties"]["name"]["sv"] == "Senare"
        beta.stop()
        alfa.stop()
        assert "this node's own" in snapshot(alfa, "import", stick).stdout


def test_quota():
    """A file brings no more of an origin than the lines would."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        federation.trust(beta, alfa)
        publish_many(alfa, 30, "Harr")
        stick = federation.directory / "alfa.torg"
        snapshot(alfa, "export", stick)
        conf = beta.conf.read_text()
        beta.conf.write_text(conf + "\n[limits]\nlistings-per-origin = 29\n")
        done = snapshot(beta, "import", stick)
        assert "30 listings, more than the 29" in done.stdout, done.stdout
        beta.conf.write_text(conf + "\n[limits]\nlistings-per-origin = 30\n")
        assert "30 listings, all verified" in snapshot(beta, "import", stick).stdout


def test_bad_files():
    """Each is named for what it is, and nothing of it is taken."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        federation.trust(beta, alfa)
        publish_many(alfa, 300, "Harr")
        good = federation.directory / "good.torg"
        bad = federation.directory / "bad.torg"
        snapshot(alfa, "export", good)
        alfa.stop()
        data = good.read_bytes()

        for size in (3, 16, 20, len(data) // 2, len(data) - 1):
            bad.write_bytes(data[:size])
            refused(beta, bad, "copy it again")
        bad.write_bytes(b"")
        refused(beta, bad, "is no snapshot")
        bad.write_bytes(b"{" + data[1:])
        refused(beta, bad, "is no snapshot")
        bad.write_bytes(data.replace(b"torg snapshot 1", b"torg snapshot 2", 1))
        refused(beta, bad, "newer format")
        bad.write_bytes(data + b"x")
        refused(beta, bad, "damaged")
        for at in (40, len(data) // 3, len(data) - 45, len(data) - 3):
            bad.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1:])
            refused(beta, bad, "at byte")
        refused(beta, federation.directory, "no file that can be read twice")
        refused(beta, federation.directory / "nothing.torg", "No such file")
        assert "0 listings shown" in beta.verify().stdout, beta.verify().stdout
        assert "all verified" in snapshot(beta, "import", good).stdout


def test_forged():
    """A file whose own sums are right, but whose listings nobody signed."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        federation.trust(beta, alfa)
        publish_many(alfa, 40, "Harr")
        before = federation.directory / "before.torg"
        after = federation.directory / "after.torg"
        mixed = federation.directory / "mixed.torg"
        snapshot(alfa, "export", before)
        publish_many(alfa, 1, "Ny")
        snapshot(alfa, "export", after)
        alfa.stop()
        # The newer head over the older listings, which somebody wants to keep alive.
        mixed.write_bytes(forge(before.read_bytes(), after.read_bytes()))
        refused(beta, mixed, "not those that its signed head names", "nothing of it was taken")
        assert "0 listings shown" in beta.verify().stdout, beta.verify().stdout


def records(data):
    at, found = 16, []
    while True:
        size = int.from_bytes(data[at:at + 4], "big")
        if size == 0:
            return found
        found.append(data[at:at + 4 + size])
        at += 4 + size


def forge(listings_of, head_of):
    """Records of two files, with an end that fits them."""
    def digest(data):
        return hashlib.blake2b(b"torg/snapshot/1\0" + data, digest_size=32).digest()
    old, new = records(listings_of), records(head_of)
    taken = [r for r in new if r[4] != 0x10] + [r for r in old if r[4] == 0x10]
    chain = bytes(32)
    for record in taken:
        chain = digest(chain + digest(record))
    return (b"torg snapshot 1\n" + b"".join(taken) + bytes(4) + len(taken).to_bytes(4, "big") +
            chain)


def test_interrupted():
    """Killed in the middle, as often as it takes: each time it goes on, and ends the same."""
    with Federation() as federation:
        alfa = federation.found("Alfa").start()
        beta = federation.found("Beta")
        federation.trust(beta, alfa)
        publish_many(alfa, 1500, "Abborre")
        stick = federation.directory / "alfa.torg"
        snapshot(alfa, "export", stick)
        alfa.stop()
        # Whatever instant it is killed in, what is there is whole in itself.
        for wait in ("0.01", "0.03", "0.06", "0.1"):
            subprocess.run(["timeout", "-s", "KILL", wait, TORG, "snapshot", "import", str(stick),
                            "--config", str(beta.conf)], check=False, capture_output=True)
            assert beta.verify().returncode == 0, beta.verify().stdout
        snapshot(beta, "import", stick)
        assert "1500 listings shown" in beta.verify().stdout, beta.verify().stdout
        left = [p.name for p in pathlib.Path(federation.directory).iterdir() if p.suffix == ".new"]
        assert not left, left


run(test_new_node, test_quota, test_bad_files, test_forged, test_interrupted)
