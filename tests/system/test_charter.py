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


def shown_roots(node):
    lines = torg("charter", "show", "--config", str(node.conf)).stdout.splitlines()
    return [line[14:78] for line in lines if line.startswith("root")]


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


def tool(*arguments, text="", code=0):
    """torg charter: its exit code, and what it says."""
    done = torg("charter", *map(str, arguments), check=False)
    assert done.returncode == code and text in done.stdout + done.stderr, done
    return done.stdout


def test_a_draft_shows_only_what_it_is():
    """Whoever signs goes by what is shown: a text in the draft must not move the terminal's cursor."""
    with Federation() as federation:
        a = federation.found("A")
        draft = federation.directory / "next.draft"
        tool("new", "--config", a.conf, "--draft", draft, "--name", "Xxxxxxxxxxxxxxxx")
        data = draft.read_bytes()
        assert data.count(b"Xxxxxxxxxxxxxxxx") == 1
        for evil in ("A\x1b[2A\x9b2J\r\nroot", "A\u202eA\u2066A\u2028A\x7f\x07b"):
            evil = evil.encode()
            draft.write_bytes(data.replace(b"Xxxxxxxxxxxxxxxx", evil.ljust(16, b".")))
            said = tool("show", draft, text="The draft of the next one")
            name = said.split("The draft of the next one:")[1].split("\n")[2]
            assert name.startswith("name          A?"), said
            assert not set(said) & set("\x1b\x7f\x07\r\x9b\u202e\u2066\u2028"), said
            assert said.count("root  ") == 2, said


def test_a_draft_keeps_nothing_for_members_that_is_shown():
    """However the draft was made, and whoever has signed it."""
    with Federation() as federation:
        a = federation.found("A")
        draft = federation.directory / "next.draft"
        tool("new", "--config", a.conf, "--draft", draft, "--name", "B")
        public, members = b"\x92\x02\x01", b"\x92\x02\x02"  # offers
        before, after = draft.read_bytes().rsplit(public, 1)
        draft.write_bytes(before + members + after)
        said = tool("sign", draft, "--root-key", a.directory / "keys" / "root.key")
        assert "for members   offers" in said, said
        tool("take", draft, "--config", a.conf, text="cannot be for members", code=1)


def test_two_of_three_root_keys():
    """Three keepers, two of whom must agree: no one of them alone, and not one who is gone."""
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        b.start()
        a.publish("offers", feature("By one keeper"))
        until("B has it", lambda: found(b, "one keeper") == 1)
        a.stop()
        first, second, third = (a.directory / "keys" / "root.key",
                                federation.directory / "second.key",
                                federation.directory / "third.key")
        digits = tool("key", third).strip()  # on a machine of the third keeper
        assert re.fullmatch("[0-9a-f]{64}", digits), digits
        tool("key", third, text="already", code=1)
        conf = ("--config", a.conf)
        tool("new", *conf, "--root-key", first, "--threshold", 2, text="--add-root-key", code=1)
        # The third keeper's key is not here, and need not be: two of the three are.
        change(a, "--add-root-key", str(second), "--add-root-key", digits, "--threshold", "2")
        assert shown(a)["threshold"] == "2 of 3 root keys sign a charter", shown(a)
        assert oct(second.stat().st_mode)[-3:] == "600"
        before = snapshot(a)
        tool("new", *conf, "--root-key", first, "--name", "A two",
             text="1 root keys have signed of the 2", code=1)
        tool("new", *conf, "--root-key", first, "--root-key", first, "--name", "A two",
             text="twice", code=1)
        assert snapshot(a) == before
        change(a, "--root-key", str(second), "--name", "A two")

        # In turn, while torgd runs; the first keeper leaves, and new keys come with it.
        a.name = "A two"
        a.start()
        draft = federation.directory / "next.draft"
        tool("new", *conf, "--draft", draft, "--new-signing-key", "--new-node-key",
             "--remove-root-key", shown_roots(a)[0], text="0 of the 2 root keys")
        tool("new", *conf, "--draft", draft, "--name", "B", text="is there already", code=1)
        tool("take", draft, *conf, text="torgd is running", code=1)
        fourth = federation.directory / "fourth.key"
        tool("new", *conf, "--draft", federation.directory / "other.draft", "--add-root-key", fourth,
             text=f"Put {fourth} away")
        a.publish("offers", feature("Meanwhile"))
        until("B has it", lambda: found(b, "meanwhile") == 1)
        a.stop()
        keys = a.directory / "keys"
        names = ["node.key", "node.key.draft", "root.key", "signing.key", "signing.key.draft"]
        assert sorted(path.name for path in keys.iterdir()) == names
        before = snapshot(a)
        tool("take", draft, *conf, text="0 root keys have signed of the 2", code=1)
        tool("sign", draft, "--root-key", first, text="1 of the 2 root keys that charter 2")
        tool("sign", draft, "--root-key", first, text="has signed it already", code=1)
        tool("sign", draft, "--root-key", b.directory / "keys" / "root.key",
             text="a root key neither", code=1)
        tool("sign", draft, text="--root-key", code=2)
        tool("sign", draft, "--root-key", third, text="1 of the 2 that the new one does")
        # Enough of the charter before, but the first keeper is none of the next.
        tool("take", draft, *conf, text="1 of the 2 that the new one does", code=1)
        assert snapshot(a) == before
        tool("sign", draft, "--root-key", second, text="That is enough")
        tool("show", draft, text="That is enough")
        bad = federation.directory / "bad.draft"
        data = draft.read_bytes()
        for i in range(0, len(data), 29):
            bad.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1:])
            tool("take", bad, *conf, code=1)
        for size in (0, 20, len(data) // 2, len(data) - 1):
            bad.write_bytes(data[:size])
            tool("show", bad, text="is no draft", code=1)
        assert snapshot(a) == before
        tool("take", draft, *conf, text="Charter 3 is made")
        tool("take", draft, *conf, text="has become charter 3 already", code=1)
        assert sorted(path.name for path in keys.iterdir()) == \
            ["node.key", "root.key", "signing.key"]
        now = shown(a)
        assert now["threshold"] == "2 of 2 root keys sign a charter", now
        assert "(this node's)" in now["signing 2"] and "(this node's)" in now["node"], now
        card = torg("card", "--config", str(a.conf)).stdout
        new, old = (re.search(r"node-key (\S+)", text).group(1)
                    for text in (card, a.card.read_text()))
        b.conf.write_text(b.conf.read_text().replace(old, new))
        b.stop()
        a.start()
        b.start()
        a.publish("offers", feature("By the other two"))
        until("B follows", lambda: found(b, "other two") == 1)
        federation.wait_equal()
        for node in federation.nodes:
            node.stop()
            assert node.verify().returncode == 0, node.verify().stdout
        tool("new", *conf, "--root-key", first, "--root-key", second, "--name", "C",
             text="not a root key", code=1)


def test_two_charters_with_one_number():
    """A's root key signs two charters 1. B goes by one, C by the other; nobody is cut off."""
    with Federation() as federation:
        a, b = federation.line("A", "B")
        c = federation.found("C")
        federation.link(c, a)
        federation.link(c, b)
        a.start()
        a.publish("offers", feature("From before"))
        a.stop()
        kept = federation.directory / "kept"
        shutil.copytree(a.directory, kept)

        def become(what):
            shutil.rmtree(a.directory)
            shutil.copytree(what, a.directory)
        change(a, "--new-signing-key")
        right = federation.directory / "right"
        shutil.copytree(a.directory, right)
        become(kept)
        change(a, "--new-signing-key", "--new-epoch")
        wrong = shown(a)
        a.start()
        c.start()
        a.publish("offers", feature("Under the wrong one"))
        until("C has it", lambda: found(c, "wrong one") == 1)
        a.stop()
        c.stop()
        become(right)
        named = shown(a)
        assert named["hash"] != wrong["hash"] and named["charter"] == "1, epoch 1", named
        a.start()
        b.start()
        a.publish("offers", feature("Under the right one"))
        until("B has it", lambda: found(b, "right one") == 1)
        c.start()  # only now: who is new takes nothing of a disputed origin
        until("C knows of both",
              lambda: c.origins()["A"].get("twoCharters", {}).get("rival") == named["hash"])
        assert c.origins()["A"]["twoCharters"] == \
            {"number": 1, "stands": wrong["hash"], "rival": named["hash"]}
        assert "disputed" in c.origins()["A"]["flags"]
        b.publish("offers", feature("From B to C"))
        until("B and C go on", lambda: found(c, "From B to C") == 1)
        a.publish("offers", feature("A goes on"))
        lines = c.conf.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("origin a "))
        lines.insert(at + 1, f"charter a = {named['hash']}")
        c.conf.write_text("\n".join(lines) + "\n")
        c.process.send_signal(1)
        until("C goes over", lambda: found(c, "right one") == 1 and found(c, "wrong one") == 0)
        assert c.origins()["A"]["charterHash"] == named["hash"]
        lines = b.conf.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("origin a "))
        lines.insert(at + 1, f"charter a = {named['hash']}")
        b.conf.write_text("\n".join(lines) + "\n")
        b.process.send_signal(1)
        until("and all have what came meanwhile",
              lambda: found(b, "A goes on") == 1 and found(c, "A goes on") == 1)
        federation.wait_equal()
        for node in federation.nodes:
            node.stop()
            assert node.verify().returncode == 0, node.verify().stdout


if __name__ == "__main__":
    run(test_neighbours_follow_a_new_signing_key, test_new_epoch_ends_what_a_thief_signed,
        test_root_and_node_keys_and_address, test_what_is_refused_changes_nothing,
        test_two_of_three_root_keys, test_two_charters_with_one_number,
        test_a_draft_shows_only_what_it_is, test_a_draft_keeps_nothing_for_members_that_is_shown)
