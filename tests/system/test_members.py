#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""A catalogue says who belongs."""
import json

from harness import Federation, feature, run, torg, until


def member(node, *arguments, check=True):
    return torg("member", *arguments, "--config", str(node.conf), check=check)


def members(node):
    """Name -> properties."""
    entries = json.loads(member(node, "list", "--json").stdout)
    return {entry["properties"]["name"]["sv"]: entry["properties"] for entry in entries}


def found(node, name):
    return node.api("/search", q=name)["numberMatched"]


def shown(node):
    """torg charter show, as a dict."""
    lines = torg("charter", "show", "--config", str(node.conf)).stdout.splitlines()
    return {line[:13].strip(): line[14:] for line in lines}


def untrust(node, other):
    """Take the other's origin out of [trust]: a peer only."""
    name = other.directory.name
    lines = node.conf.read_text().splitlines()
    node.conf.write_text("\n".join(line for line in lines
                                   if not line.startswith(f"origin {name} ")) + "\n")


def test_entries_are_written_on_the_catalogues_node():
    with Federation() as federation:
        region = federation.found("Region", kind="region")
        town, village = federation.found("Town"), federation.found("Village")
        region.start()
        member(region, "add", str(town.card), "--groups", "coast,north/inland")
        member(region, "add", str(village.card), "--name", "Byn", "--quota", "100")
        assert set(members(region)) == {"Town", "Byn"}
        assert members(region)["Town"]["groups"] == ["coast", "north/inland"]
        assert members(region)["Byn"]["quota"] == 100
        assert members(region)["Byn"]["status"] == "active"
        hash_of_charter = shown(village)["hash"]
        member(region, "set", "Byn", "--charter", hash_of_charter)
        assert members(region)["Byn"]["charter"] == hash_of_charter
        short = member(region, "set", "Byn", "--charter", "abc", check=False)
        assert short.returncode == 1 and "64" in short.stderr, short
        member(region, "set", "Byn", "--charter", "none")
        assert "charter" not in members(region)["Byn"]

        again = member(region, "add", str(town.card), check=False)
        assert again.returncode == 1 and "listed already" in again.stderr, again
        member(region, "set", "Town", "--status", "suspended", "--groups", "none")
        assert members(region)["Town"]["status"] == "suspended"
        assert "groups" not in members(region)["Town"]
        wrong = member(region, "set", "Town", "--status", "friend", check=False)
        assert wrong.returncode == 1 and "active, suspended or left" in wrong.stderr, wrong
        assert members(region)["Town"]["status"] == "suspended"
        nobody = member(region, "set", "Nobody", "--status", "left", check=False)
        assert nobody.returncode == 1 and "there is no member Nobody" in nobody.stderr, nobody

        origin = members(region)["Byn"]["member"]
        assert "Byn" in member(region, "list").stdout
        member(region, "remove", origin[:12])
        assert set(members(region)) == {"Town"}
        region.stop()
        checked = region.verify()
        assert checked.returncode == 0, checked.stdout


def test_a_charter_must_name_the_collection():
    with Federation() as federation:
        region, town = federation.found("Region", kind="region"), federation.found("Town")
        root = str(region.directory / "keys" / "root.key")

        def charter(*options, check=True):
            return torg("charter", "new", "--root-key", root, "--config", str(region.conf),
                        *options, check=check)
        charter("--visibility", "members=local")
        region.start()
        refused = member(region, "add", str(town.card), check=False)
        assert refused.returncode == 1 and "--visibility members=public" in refused.stderr, refused
        region.stop()
        charter("--visibility", "members=public")
        region.start()
        member(region, "add", str(town.card))
        assert set(members(region)) == {"Town"}
        region.stop()
        refused = charter("--visibility", "members=local", check=False)
        assert refused.returncode == 1 and "delete them" in refused.stderr, refused
        wrong = charter("--visibility", "members=everybody", check=False)
        assert wrong.returncode == 2, wrong


def test_who_is_a_member_is_trusted():
    """Nobody names anybody but the catalogue; its operator alone says who belongs."""
    with Federation() as federation:
        region = federation.found("Region", kind="region")
        towns = [federation.found(name) for name in ("A", "B", "C")]
        catalogue = shown(region)["origin"]
        # A chain of connections without trust of their own: Region - A - B - C.
        for dialler, listener in zip(towns, (region, *towns)):
            federation.link(dialler, listener)
            for node, other in ((dialler, listener), (listener, dialler)):
                untrust(node, other)
        for node in federation.nodes:
            node.configure("trust", catalogue=catalogue)
            node.start()
        for node in towns:
            node.publish("offers", feature(f"Anbud {node.name}"))
        member(region, "add", str(towns[0].card))
        until("the region has A's", lambda: found(region, "anbud") == 1)
        member(region, "add", str(towns[2].card))
        member(region, "add", str(towns[1].card))
        until("everybody has everything",
              lambda: all(found(node, "anbud") == 3 for node in federation.nodes))
        member(region, "set", "C", "--status", "suspended")
        until("B says that C is suspended",
              lambda: "suspended" in towns[1].origins()["C"]["flags"])
        towns[2].publish("offers", feature("Anbud C2"))
        towns[1].publish("offers", feature("Anbud B2"))
        until("the region has B's", lambda: found(region, "anbud b2") == 1)
        assert found(region, "anbud c2") == 0 and found(region, "anbud c") == 1
        member(region, "set", "C", "--status", "active")
        until("everybody has everything again",
              lambda: all(found(node, "anbud") == 5 for node in federation.nodes))
        until("B says so", lambda: "suspended" not in towns[1].origins()["C"]["flags"])


def collection(node, origin, name):
    for entry in node.origins()[origin]["collections"]:
        if entry.get("id") == name:
            return entry
    return None


def test_a_collection_for_members():
    """B is a member of the catalogue that A's charter names, C is not; both hold A's offers."""
    with Federation() as federation:
        a, b, c = (federation.found(name) for name in ("A", "B", "C"))
        federation.link(b, a)
        federation.link(c, a)
        federation.link(c, b)
        catalogue = shown(b)["origin"]

        def charter(node, *options, check=True):
            return torg("charter", "new", "--root-key", str(node.directory / "keys" / "root.key"),
                        "--config", str(node.conf), *options, check=check)
        for node in (a, b):  # A's list of members is for the members of B's list
            charter(node, "--catalogue", catalogue)
        charter(a, "--visibility", "members=members")
        assert "members" in shown(a)["for members"] and shown(a)["catalogue"] == catalogue
        refused = charter(a, "--visibility", "offers=members", check=False)
        assert refused.returncode == 2 and "need-statistics" in refused.stderr, refused
        for node in federation.nodes:
            node.start()
        a.publish("offers", feature("Anbud A"))
        member(a, "add", str(c.card))
        until("both have the offer", lambda: found(b, "anbud") == 1 and found(c, "anbud") == 1)
        until("both know that there is something", lambda: collection(b, "A", "members")
              and collection(c, "A", "members"))
        assert collection(b, "A", "members")["count"] == 0  # not even B belongs yet
        member(b, "add", str(b.card))
        until("B has what is for members", lambda: collection(b, "A", "members")["count"] == 1)
        until("B is whole", lambda: b.origins()["A"]["state"] == "complete")
        until("C is whole without it", lambda: c.origins()["A"]["state"] == "complete")
        kept = collection(c, "A", "members")
        assert kept["promised"] == 1 and kept["count"] == 0 and not kept["wanted"], kept
        member(b, "set", "B", "--status", "suspended")
        until("B has dropped it", lambda: collection(b, "A", "members")["count"] == 0)
        for node in federation.nodes:
            node.stop()
            checked = node.verify()
            assert checked.returncode == 0, checked.stdout


if __name__ == "__main__":
    run(test_a_collection_for_members, test_who_is_a_member_is_trusted, test_entries_are_written_on_the_catalogues_node, test_a_charter_must_name_the_collection)
