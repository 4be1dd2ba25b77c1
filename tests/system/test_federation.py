#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Listings reach every node, through others, and stay when links and nodes go."""
import os
import signal
import subprocess

from harness import Federation, feature, run, torg, until


def found(node, name):
    return node.api("/search", q=name)["numberMatched"]


def test_relay_through_a_third():
    """Arjeplog and Umeå are not connected: only Örnsköldsvik's relay can carry a listing."""
    with Federation() as federation:
        umea, ornskoldsvik, arjeplog = federation.line("Umea", "Ornskoldsvik", "Arjeplog")
        for node in federation.nodes:
            node.start()
        federation.wait_equal()
        umea.publish("offers", feature("Bastu vid havet", theme="bathing/sauna"))
        until("Arjeplog has it", lambda: found(arjeplog, "bastu") == 1)
        arjeplog.publish("offers", feature("Fiskekort Hornavan", theme="nature/fishing"))
        until("Umeå has it", lambda: found(umea, "fiskekort") == 1)
        federation.wait_equal()
        for node in federation.nodes:
            node.stop()
            checked = node.verify()
            assert checked.returncode == 0, checked.stdout


def test_update_and_delete_reach_all():
    with Federation() as federation:
        a, b, c = federation.line("A", "B", "C")
        for node in federation.nodes:
            node.start()
        listing = a.publish("offers", feature("Gammalt namn"))
        until("C has it", lambda: found(c, "gammalt") == 1)
        changed = a.write("PUT", f"/collections/offers/items/{listing}", feature("Nytt namn"))
        assert changed.status in (200, 204), changed
        until("C has the new name", lambda: found(c, "nytt") == 1 and found(c, "gammalt") == 0)
        gone = a.write("DELETE", f"/collections/offers/items/{listing}")
        assert gone.status in (200, 204), gone
        until("C has dropped it", lambda: found(c, "nytt") == 0)
        federation.wait_equal()


def test_long_absence_and_restart_in_any_order():
    with Federation() as federation:
        a, b, c = federation.line("A", "B", "C")
        a.start()
        ids = [a.publish("offers", feature(f"Listing {i}")) for i in range(30)]
        c.start()
        b.start()
        until("C has all", lambda: found(c, "listing") == 30)
        b.stop()
        for listing in ids[:20]:
            assert a.write("DELETE", f"/collections/offers/items/{listing}").status in (200, 204)
        a.publish("offers", feature("Listing after"))
        c.stop()
        b.start()
        c.start()
        until("C has caught up", lambda: found(c, "listing") == 11)
        federation.wait_equal()


def test_node_that_only_dials_out():
    with Federation() as federation:
        hub = federation.found("Hub")
        leaf = federation.found("Leaf", listen=False)
        federation.link(leaf, hub)
        hub.start()
        leaf.start()
        leaf.publish("offers", feature("From the leaf"))
        hub.publish("offers", feature("From the hub"))
        until("the hub has it", lambda: found(hub, "from the leaf") == 1)
        until("the leaf has it", lambda: found(leaf, "from the hub") == 1)


def test_untrusted_origin_is_not_stored():
    with Federation() as federation:
        a, b = federation.found("A"), federation.found("B")
        stranger = federation.found("Stranger")
        federation.link(b, a)
        federation.link(stranger, b)
        for node in federation.nodes:
            node.start()
        stranger.publish("offers", feature("Unknown here"))
        until("B has it, for it trusts the stranger", lambda: found(b, "unknown") == 1)
        a.publish("offers", feature("Known"))
        until("B has A's", lambda: found(b, "known") == 2)
        assert "Stranger" not in a.origins()
        assert found(a, "unknown") == 0


def newer(*arguments):
    """What a later version of torg does, at a stopped node; see tests/support/newer.c."""
    done = subprocess.run([os.environ["NEWER"], *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_a_collection_that_has_no_name_yet():
    """Who does not know a collection carries it all the same: else a new one needs all nodes at once."""
    with Federation() as federation:
        umea, middle, far = nodes = federation.line("Umea", "Middle", "Far")

        def unnamed(node):
            told = [c for c in node.origins().get("Umea", {}).get("collections", []) if "id" not in c]
            return [(c["number"], c["count"], c["root"], c["complete"]) for c in told]

        umea.start()
        umea.publish("offers", feature("Bastu"))
        umea.stop()
        seen = set()
        for seed in (1, 2, 3):  # new ones, then others changed, and some deleted
            newer("write", umea.directory / "data", umea.directory / "keys", seed)
            for node in nodes:
                node.start()
            at_umea = until("Umeå shows it", lambda: unnamed(umea))
            assert [c[0] for c in at_umea] == [27] and at_umea[0][3], at_umea
            for node in (middle, far):
                until("it has gone on", lambda node=node: unnamed(node) == at_umea)
            assert far.api("/search")["numberMatched"] == 1
            for node in nodes:
                node.stop()
                assert node.verify().returncode == 0, node.verify().stdout
            written = newer("show", umea.directory / "data")
            assert len(written) == at_umea[0][1] > 5 and len(set(written) & seen) <= 1, len(written)
            for node in (middle, far):
                assert newer("show", node.directory / "data") == written, (node.name, seed)
            seen |= set(written)


def missing(node, path, **parameters):
    answer = node.get("/torg/v1" + path, **parameters)
    assert answer.status == 200, answer
    return answer.headers["torg-missing"]


def assert_missing_is_told(whole, part, origin):
    """One listing of one collection of one origin is not held: an answer without it must not look whole."""
    id = origin.origins()["Umea"]["id"]
    told = "companies; listings=1; origins=1"
    for path in ("/search", "/themes", "/collections/companies/items"):
        assert missing(part, path) == told, path
        assert missing(part, path, origin=id) == told, path
        assert missing(part, path, origin="f" * 16) is None, path
        assert missing(whole, path) is None, path
    assert missing(part, "/search", collections="offers,companies") == told
    for path in ("/search?collections=offers,places", "/collections/offers/items"):
        assert missing(part, path) is None, path
    seen = {c["id"]: c.get("missing") for c in part.api("/collections")["collections"]}
    assert seen.pop("companies") == {"listings": 1, "origins": 1} and not any(seen.values()), seen
    assert part.api("/collections/companies")["missing"] == {"listings": 1, "origins": 1}
    assert "missing" not in whole.api("/collections/companies")


def test_some_collections():
    """Umeå and the middle hold all; the leaf holds two collections, answers these, and changes its mind."""
    with Federation() as federation:
        umea, middle, leaf = federation.line("Umea", "Middle", "Leaf")
        leaf.configure("trust", collections="offers, places")
        for node in federation.nodes:
            node.start()
        umea.publish("companies", feature("Anbud Alfa"))
        umea.publish("offers", feature("Anbud Beta"))
        umea.publish("places", feature("Anbud Gamma"))
        until("the middle has all", lambda: found(middle, "anbud") == 3)
        until("the leaf has two collections", lambda: found(leaf, "anbud") == 2)

        def collections(node):
            return {c["id"]: c for c in node.origins()["Umea"]["collections"]}

        def settled():
            origin = leaf.origins()["Umea"]
            return origin["state"] == "complete" and "subset" in origin["flags"]
        until("the leaf says that it is a part, and whole", settled)
        assert collections(leaf)["companies"]["wanted"] is False
        assert collections(leaf)["companies"]["count"] == 0
        for name in ("offers", "places"):
            assert collections(leaf)[name]["root"] == collections(umea)[name]["root"]
        assert "subset" not in middle.origins()["Umea"]["flags"]
        assert_missing_is_told(middle, leaf, umea)

        leaf.configure("trust", collections="companies, offers")
        leaf.process.send_signal(signal.SIGHUP)
        until("companies come", lambda: found(leaf, "alfa") == 1)
        until("places go", lambda: found(leaf, "gamma") == 0)
        assert found(leaf, "beta") == 1
        leaf.stop()
        checked = leaf.verify()
        assert checked.returncode == 0, checked.stdout
        assert "origin.dropped" in leaf.log.read_text()


def test_quota():
    """The leaf takes three listings of one origin: a fourth is shown as too many, and comes when it may."""
    with Federation() as federation:
        umea, leaf = federation.line("Umea", "Leaf")
        leaf.conf.write_text(leaf.conf.read_text() + "\n[limits]\nlistings-per-origin = 3\n")
        for node in federation.nodes:
            node.start()
        ids = [umea.publish("offers", feature(f"Listing {i}")) for i in range(3)]
        until("the leaf has three", lambda: found(leaf, "listing") == 3)

        def metric(node):
            text = node.get("/metrics", port=node.admin_port).body.decode()
            return [line.split()[-1] for line in text.splitlines()
                    if line.startswith("torg_origin_over_quota{") and 'name="Umea"' in line]

        def shown():
            origin = leaf.origins()["Umea"]
            return "over-quota" in origin["flags"] and origin
        assert metric(leaf) == ["0"]
        umea.publish("offers", feature("Listing 3"))
        origin = until("the leaf says so", shown)
        assert (origin["quota"], origin["refusedListings"], origin["lag"]) == (3, 4, 1), origin
        assert origin["state"] == "complete" and origin["listings"] == 3, origin
        assert found(leaf, "listing") == 3 and metric(leaf) == ["1"]
        status = torg("status", "--config", str(leaf.conf)).stdout
        assert "over-quota" in status, status
        assert "quota" not in umea.origins()["Umea"]  # its own has none
        until("the origin's log has it", lambda: "code=OVER_QUOTA" in umea.log.read_text())

        assert umea.write("DELETE", f"/collections/offers/items/{ids[0]}").status == 204
        until("the leaf goes on", lambda: "over-quota" not in leaf.origins()["Umea"]["flags"])
        federation.wait_equal()
        umea.publish("offers", feature("Listing 4"))
        until("there are too many again", shown)
        lines = leaf.conf.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("origin umea"))
        lines.insert(at + 1, "listings umea = 4")
        leaf.conf.write_text("\n".join(lines) + "\n")
        leaf.process.send_signal(signal.SIGHUP)
        until("it comes with a greater quota", lambda: found(leaf, "listing") == 4)
        federation.wait_equal()
        log = leaf.log.read_text()
        assert log.count("origin.over_quota") == 2 and log.count("origin.within_quota") == 2, log


if __name__ == "__main__":
    run(test_relay_through_a_third, test_update_and_delete_reach_all,
        test_long_absence_and_restart_in_any_order, test_node_that_only_dials_out,
        test_untrusted_origin_is_not_stored, test_some_collections,
        test_a_collection_that_has_no_name_yet, test_quota)
