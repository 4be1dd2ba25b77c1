#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""A municipality changes its keys, and the federation goes on with it."""
import re
import shutil

from harness import Federation, feature, run, torg, until


def found(node, name):
    return node.api("/search", q=name)["numberMatched"]


def shown(node):
    """torg charter show, as a dict."""
    lines = torg("charter", "show", "--config", str(node.conf)).stdout.splitlines()
    return {line[:13].strip(): line[14:] for line in lines}


def change(node, *options, root=None, check=True):
    return torg("charter", "new", "--root-key", str(root or node.directory / "keys" / "root.key"),
                "--config", str(node.conf), *options, check=check)


def snapshot(node):
    """Every file that a charter may change, and what the store says; opening it writes too."""
    passed_over = ("torg.mdb", "torg.mdb-lock", "torg.lock", "torg.journal", "admin.secret")
    files = {path.relative_to(node.directory): path.read_bytes()
             for path in node.directory.rglob("*")
             if path.is_file() and path.stat().st_size > 0 and path.name not in passed_over}
    return files, shown(node)


def test_neighbours_follow_a_new_signing_key():
    """C hears of A's new key only through B, and must believe nothing by the old one."""
    with Federation() as federation:
        a, b, c = federation.line("A", "B", "C")
        for node in federation.nodes:
            node.start()
        a.publish("offers", feature("Under the first key"))
        until("C has it", lambda: found(c, "first key") == 1)
        a.stop()
        old = shown(a)
        assert "(this node's)" in old["signing 1"] and old["charter"] == "0, epoch 1", old
        done = change(a, "--new-signing-key", "--name", "A-by kommun")
        assert "Charter 1" in done.stdout, done
        new = shown(a)
        assert "signing 1" not in new and "(this node's)" in new["signing 2"], new
        assert new["signing 2"] != old["signing 1"] and new["charter"] == "1, epoch 1", new
        assert sorted(path.name for path in (a.directory / "keys").iterdir()) == \
            ["node.key", "root.key", "signing.key"]
        a.name = "A-by kommun"
        a.start()
        federation.wait_equal()
        assert found(c, "first key") == 1
        a.publish("offers", feature("Under the second key"))
        until("C has what the new key signs", lambda: found(c, "second key") == 1)
        federation.wait_equal()
        for node in federation.nodes:
            node.stop()
            checked = node.verify()
            assert checked.returncode == 0, checked.stdout


def test_new_epoch_ends_what_a_thief_signed():
    """A copy of A's node and keys publishes; A's new epoch takes that back everywhere."""
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        b.start()
        a.publish("offers", feature("Honest"))
        until("B has it", lambda: found(b, "honest") == 1)
        a.stop()
        kept = federation.directory / "kept"
        shutil.copytree(a.directory, kept)
        a.start()
        a.publish("offers", feature("Stolen"))
        until("B has what the thief signed", lambda: found(b, "stolen") == 1)
        a.stop()
        shutil.rmtree(a.directory)
        shutil.copytree(kept, a.directory)
        done = change(a, "--new-epoch", "--new-signing-key")
        assert shown(a)["charter"] == "1, epoch 2", done
        a.start()
        until("the stolen listing is gone at B", lambda: found(b, "stolen") == 0)
        federation.wait_equal()
        assert found(b, "honest") == 1 and b.origins()["A"]["head"]["epoch"] == 2
        a.publish("offers", feature("Honest again"))
        until("B has what comes after", lambda: found(b, "honest again") == 1)


def test_root_and_node_keys_and_address():
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        b.start()
        a.publish("offers", feature("Before"))
        until("B has it", lambda: found(b, "before") == 1)
        a.stop()
        new_root = federation.directory / "new-root.key"
        change(a, "--new-root-key", str(new_root), "--new-node-key",
               "--address", "torg.a.example:8490")
        old = change(a, "--name", "X", check=False)
        assert old.returncode == 1 and "not a root key" in old.stderr, old
        change(a, "--name", "A two", root=new_root)
        assert shown(a)["charter"] == "2, epoch 1"
        card = torg("card", "--config", str(a.conf)).stdout
        assert "torg.a.example:8490" in card and "A two" in card, card
        key = re.search(r"node-key (\S+)", card).group(1)
        assert key in shown(a)["node"], card
        old_key = re.search(r"node-key (\S+)", a.card.read_text()).group(1)
        b.conf.write_text(b.conf.read_text().replace(old_key, key))
        a.name = "A two"
        b.stop()
        a.start()
        b.start()
        federation.wait_equal()
        a.publish("offers", feature("Afterwards"))
        until("B has it over the new node key", lambda: found(b, "afterwards") == 1)


def test_what_is_refused_changes_nothing():
    with Federation() as federation:
        a, other = federation.found("A"), federation.found("Other")
        before = snapshot(a)

        def refused(*options, text, root=None, code=1):
            done = change(a, *options, root=root, check=False)
            assert done.returncode == code and text in done.stderr, done
            assert snapshot(a) == before, done

        refused("--new-signing-key", text="not a root key",
                root=other.directory / "keys" / "root.key")
        refused("--new-signing-key", text="offline", root=federation.directory / "none.key")
        refused("--new-epoch", text="nothing was published")
        refused(text="what is to change", code=2)
        refused("--name", "a;b", text="--name", code=2)
        refused("--address", "nowhere", text="--address", code=2)
        refused("--new-root-key", str(a.directory / "keys" / "root.key"), "--new-signing-key",
                text="is there already")
        a.start()
        running = change(a, "--new-signing-key", check=False)
        assert running.returncode == 1 and "torgd is running" in running.stderr, running
        a.publish("offers", feature("One"))
        a.stop()
        # A database older than its guard must not sign numbers again.
        saved = (a.directory / "data" / "torg.mdb").read_bytes()
        a.start()
        a.publish("offers", feature("Two"))
        a.stop()
        (a.directory / "data" / "torg.mdb").write_bytes(saved)
        before = snapshot(a)
        refused("--new-signing-key", text="old copy")
        # Spare keys that no charter lists, as a crash leaves them, are in nobody's way.
        keys = other.directory / "keys"
        shutil.copy(keys / "node.key", keys / "signing.key.new")
        change(other, "--new-signing-key")
        assert sorted(path.name for path in keys.iterdir()) == \
            ["node.key", "root.key", "signing.key"]
        # One that the charter does list takes its place.
        (keys / "signing.key").rename(keys / "signing.key.new")
        change(other, "--name", "Other two")
        assert shown(other)["signing 2"].endswith("(this node's)")
        other.start()


if __name__ == "__main__":
    run(test_neighbours_follow_a_new_signing_key, test_new_epoch_ends_what_a_thief_signed,
        test_root_and_node_keys_and_address, test_what_is_refused_changes_nothing)
