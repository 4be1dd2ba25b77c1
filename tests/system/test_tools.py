#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""The torg command, as people use it: import, export, query, status, tokens, help."""
import csv
import io
import json
import os
import resource
import signal
import subprocess

from harness import TORG, Federation, feature, run, torg, until

COMMANDS = ["init", "card", "charter", "peer", "token", "import", "export", "query", "snapshot",
            "status", "verify", "generate"]


def counts(done):
    """The import's last line as a dict: created, updated, unchanged, refused."""
    words = done.stderr.strip().splitlines()[-1].split(": ")[-1].replace(",", "").split()
    return {words[i + 1]: int(words[i]) for i in range(0, len(words), 2)}


def importing(node, path, *options):
    return torg("import", "--config", str(node.conf), *options, str(path), check=False)


def test_help_everywhere():
    overview = torg("--help").stdout
    for command in COMMANDS:
        assert f"  {command}" in overview
        text = torg(command, "--help").stdout
        assert "usage: torg " + command in text and "--help" in text, text
    wrong = torg("frobnicate", check=False)
    assert wrong.returncode == 2 and "frobnicate" in wrong.stderr
    for command in COMMANDS:
        wrong = torg(command, "--no-such-option", check=False)
        assert wrong.returncode == 2, (command, wrong)
        assert "--help" in wrong.stderr, (command, wrong)
        assert f"torg {command}: " in wrong.stderr, (command, wrong)


def test_init_overwrites_nothing():
    with Federation() as federation:
        node = federation.found("A")
        before = {path: path.read_bytes() for path in node.directory.rglob("*") if path.is_file()}
        again = torg("init", str(node.directory), "--name", "B", check=False)
        assert again.returncode == 1 and "founded already" in again.stderr, again
        after = {path: path.read_bytes() for path in node.directory.rglob("*") if path.is_file()}
        assert before == after
        for path in (node.directory / "keys").iterdir():
            assert path.stat().st_mode & 0o077 == 0, path


def small_files_only():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def test_init_writes_nothing_when_anything_is_wrong():
    """Keys without a configuration made the second, right try fail."""
    with Federation() as federation:
        directory = federation.directory / "umea"

        def refused(*options, name="Umeå kommun"):
            done = torg("init", str(directory), "--name", name, *options, check=False)
            assert done.returncode in (1, 2), (options, done)
            assert not directory.exists(), (options, list(directory.rglob("*")))
            return done.stderr

        assert "127.0.0.1:8480" in refused("--http", "8480")
        assert "--http" in refused("--http", "none")
        assert "--http" in refused("--http", "localhost:8480")
        assert "--admin" in refused("--admin", "127.0.0.1:99999")
        assert "--peer-listen" in refused("--peer-listen", "")
        assert "--address" in refused("--address", "torg.example.se")
        assert "--kind" in refused("--kind", "town")
        assert "--country" in refused("--country", "sweden")
        assert "name" in refused(name="a;b")
        assert "2480, Umeå" in refused("--municipality", "9999")
        assert "2506, Arjeplog" in refused("--municipality", "2507", name="Arjeplogs kommun")
        assert "2480, Umeå" in refused("--municipality", "2479", name="Norra hamnen")
        assert "four digits" in refused("--municipality", "24")
        assert "--national-code" in refused("--municipality", "2480", "--country", "FI")
        refused("--national-code", "x" * 100)
        assert refused("--peer-listen", "127.0.0.1:8490," * 90)
        # The disk is full when the database is made.
        done = torg("init", str(directory), "--name", "Umeå kommun", check=False,
                    preexec_fn=small_files_only)
        assert done.returncode == 1, done
        assert not directory.exists(), list(directory.rglob("*"))
        # What is there already stays, and what was made beside it goes again.
        (directory / "keys").mkdir(parents=True)
        (directory / "keys" / "node.key").write_text("mine")
        done = torg("init", str(directory), "--name", "Umeå kommun", check=False)
        assert done.returncode == 1 and "node.key exists" in done.stderr, done
        assert [path.name for path in directory.rglob("*")] == ["keys", "node.key"]
        (directory / "keys" / "node.key").unlink()
        done = torg("init", str(directory), "--name", "Umeå kommun", "--municipality", "2480",
                    "--peer-listen", "0.0.0.0:8490")
        assert "torg card --address" in done.stdout, done
        assert "0.0.0.0" not in torg("card", "--config", str(directory / "federation.conf")).stdout


def test_peer_add_and_remove_keep_the_file():
    with Federation() as federation:
        a, b = federation.found("A"), federation.found("B")
        own = torg("peer", "add", "me", str(a.card), "--config", str(a.conf), check=False)
        assert own.returncode == 1 and "this node itself" in own.stderr, own
        original = a.conf.read_text() + "\n# a comment of the staff\n"
        a.conf.write_text(original)
        federation.link(a, b)
        assert "[peer b]" in a.conf.read_text()
        twice = torg("peer", "add", "b2", str(b.card), "--config", str(a.conf), check=False)
        assert twice.returncode == 1 and "already" in twice.stderr, twice
        assert "b" in torg("peer", "list", "--config", str(a.conf)).stdout
        lines = [line + "\ncollections b = offers\nlistings b = 5" if line.startswith("origin b")
                 else line for line in a.conf.read_text().split("\n")]
        a.conf.write_text("\n".join(lines))
        torg("peer", "remove", "b", "--config", str(a.conf))
        text = a.conf.read_text()
        assert "[peer b]" not in text and "origin b" not in text and "listings b" not in text
        assert "# a comment of the staff" in text
        gone = torg("peer", "remove", "b", "--config", str(a.conf), check=False)
        assert gone.returncode == 1


def test_import_reports_each_row_and_updates():
    with Federation() as federation:
        node = federation.found("A").start()

        def rows(price):
            source = {"system": "register", "id": "7"}
            return {"type": "FeatureCollection", "features": [
                feature("Med källa", identifiers={"source": source},
                        price={"amount": price, "currency": "SEK"}, kind="sell"),
                feature("Fel pris", price={"amount": -1, "currency": "kronor"}, colour="red"),
                feature("Omvänt", lon=63.8, lat=20.3),
                feature("SWEREF", lon=758803.4, lat=7088280.8),
                feature("", theme="Inte En Slug"),
            ]}
        path = federation.directory / "offers.geojson"
        path.write_text(json.dumps(rows(100)))
        report = federation.directory / "report.csv"

        dry = importing(node, path, "--collection", "offers", "--dry-run")
        assert dry.returncode == 1 and "dry run" in dry.stderr, dry
        assert node.api("/collections/offers/items")["numberMatched"] == 0

        done = importing(node, path, "--collection", "offers", "--report", str(report))
        assert done.returncode == 1, done
        assert counts(done) == {"created": 1, "updated": 0, "unchanged": 0, "refused": 4}, done
        for text in ("price", "currency", "colour", "SWEREF 99 TM", "latitude before longitude", "themes", "name"):
            assert text in done.stderr, f"{text} is not in:\n{done.stderr}"
        with open(report, encoding="utf-8", newline="") as file:
            written = list(csv.DictReader(file))
        assert {row["row"] for row in written} == {"1", "2", "3", "4", "5"}

        assert counts(importing(node, path, "--collection", "offers"))["unchanged"] == 1
        path.write_text(json.dumps(rows(150)))
        assert counts(importing(node, path, "--collection", "offers"))["updated"] == 1
        items = node.api("/collections/offers/items")
        assert items["numberMatched"] == 1
        assert items["features"][0]["properties"]["price"]["amount"] == 150


def test_import_csv_from_a_spreadsheet():
    with Federation() as federation:
        node = federation.found("A").start()
        path = federation.directory / "companies.csv"
        path.write_text("\ufeffname.sv;themes;longitude;latitude;municipality\r\n"
                        "Björks Bastu;bathing/sauna;20,2630;63,8258;2480\r\n"
                        '"Kafé ""Ön""";food/cafe;20,8667;63,8;2480\r\n'
                        "Utan läge;food;;;0123x\r\n", encoding="utf-8")
        done = importing(node, path, "--collection", "companies")
        assert counts(done)["created"] == 2 and counts(done)["refused"] == 1, done
        assert "municipality" in done.stderr
        near = node.api("/collections/companies/items", near="20.2630,63.8258", radius=1000)
        assert [f["properties"]["name"]["sv"] for f in near["features"]] == ["Björks Bastu"]
        out = federation.directory / "edited.csv"
        torg("export", "--config", str(node.conf), "--format", "csv", "--collection", "companies",
             "--output", str(out))
        out.write_text(out.read_text().replace("Björks Bastu", "Björks Bad"))
        done = importing(node, out, "--collection", "companies")
        assert (counts(done)["updated"], counts(done)["unchanged"]) == (1, 1), done
        latin = federation.directory / "latin.csv"
        latin.write_bytes("name.sv;themes\r\nFjällkafé;food\r\n".encode("latin-1"))
        done = importing(node, latin, "--collection", "companies")
        assert done.returncode == 1 and "CSV UTF-8" in done.stderr, done
        wrong = federation.directory / "wrong.csv"
        wrong.write_text("Namn,thems,E-post,colour\nA,b,c,d\n")
        done = importing(node, wrong, "--collection", "companies")
        assert done.returncode == 1, done
        for text in ("Namn: is not known; did you mean name.sv", "did you mean themes",
                     "did you mean contact.email", "colour: is not known"):
            assert text in done.stderr, done


def test_import_notes_what_may_not_be_meant():
    """Copies at the next import, and themes that nobody will look for, are said once."""
    with Federation() as federation:
        node = federation.found("A").start()
        path = federation.directory / "companies.csv"
        rows = "Ett,food/kafe\nTvå,food/kafe\nTre,food/cafe\n"
        path.write_text("name.sv,themes\n" + rows, encoding="utf-8")
        done = importing(node, path, "--collection", "companies")
        assert counts(done)["created"] == 3, done
        assert done.stderr.count("food/kafe") == 1 and "(2 rows)" in done.stderr, done
        assert "did you mean food/cafe?" in done.stderr and "under food" in done.stderr, done
        assert done.stderr.count("once more") == 1 and "3 new rows" in done.stderr, done
        quiet = importing(node, path, "--collection", "companies", "--quiet", "--dry-run")
        assert quiet.stderr == "", quiet
        source = "identifiers.source.system,identifiers.source.id"
        path.write_text(f"name.sv,themes,{source}\nFyra,food/cafe,crm,4\n", encoding="utf-8")
        done = importing(node, path, "--collection", "companies")
        assert counts(done)["created"] == 1 and "note" not in done.stderr, done
        path.write_text(f"name.sv,themes,{source}\nFem,food/cafe,crm,5\nFem,food,crm,5\n",
                        encoding="utf-8")
        done = importing(node, path, "--collection", "companies")
        assert (counts(done)["created"], counts(done)["refused"]) == (1, 1), done
        assert "an earlier row" in done.stderr, done
        # Another municipality's export: its ids are not ours, so a second import copies.
        other = federation.directory / "other.csv"
        torg("export", "--config", str(node.conf), "--format", "csv", "--collection", "companies",
             "--output", str(other))
        neighbour = federation.found("B").start()
        done = importing(neighbour, other, "--collection", "companies")
        assert "3 new rows" in done.stderr, done


def test_export_can_be_imported_elsewhere():
    with Federation() as federation:
        a, b = federation.found("A").start(), federation.found("B").start()
        path = federation.directory / "generated.geojsonseq"
        torg("generate", "--count", "300", "--seed", "7", "--output", str(path))
        done = importing(a, path)
        assert counts(done)["created"] == 300, done
        nobody = federation.directory / "nobody.geojson"
        refused = torg("export", "--config", str(a.conf), "--origin", "zz", check=False)
        assert refused.returncode == 1 and refused.stdout == "" and '"zz"' in refused.stderr, refused
        refused = torg("export", "--config", str(a.conf), "--origin", "zz", "--output", str(nobody), check=False)
        assert refused.returncode == 1 and not nobody.exists(), refused
        for form in ("geojson", "geojsonseq"):
            out = federation.directory / f"out.{form}"
            torg("export", "--config", str(a.conf), "--format", form, "--output", str(out))
            importing(b, out)
        for collection in ("offers", "events", "needs"):
            out = federation.directory / f"{collection}.csv"
            torg("export", "--config", str(a.conf), "--format", "csv", "--collection", collection,
                 "--output", str(out))
            assert counts(importing(b, out, "--collection", collection))["refused"] == 0
        for collection in ("companies", "offers", "events", "places", "jobs", "needs", "courses"):
            one = a.api(f"/collections/{collection}/items", limit=1000, datetime="../..")
            two = b.api(f"/collections/{collection}/items", limit=1000, datetime="../..")
            assert one["numberMatched"] == two["numberMatched"] > 0

            def essence(answer):
                return sorted(json.dumps([f["geometry"], {k: v for k, v in f["properties"].items()
                                                          if k not in ("origin", "created",
                                                                       "modified")}],
                                         sort_keys=True) for f in answer["features"])
            assert essence(one) == essence(two)


def test_generate_is_deterministic():
    one = torg("generate", "--count", "200", "--seed", "3").stdout
    assert one == torg("generate", "--count", "200", "--seed", "3").stdout
    assert one != torg("generate", "--count", "200", "--seed", "4").stdout
    features = [json.loads(line) for line in one.splitlines()]
    assert len(features) == 200
    assert all(f["properties"]["example"] for f in features)


def test_query_prints_a_table():
    with Federation() as federation:
        node = federation.found("A").start()
        node.publish("offers", feature("Nära", lon=20.0, lat=63.9))
        node.publish("offers", feature("Längre bort", lon=20.2, lat=63.9))
        url = f"http://127.0.0.1:{node.http_port}"
        out = torg("query", "--url", url, "--near", "20.0,63.9", "--radius", "50000").stdout
        lines = out.splitlines()
        assert "Nära" in lines[1] and "0.000 km" in lines[1], out
        assert "Längre bort" in lines[2] and lines[-1] == "2 of 2", out
        raw = json.loads(torg("query", "--url", url, "--collection", "offers", "--json").stdout)
        assert raw["numberMatched"] == 2
        table = list(csv.reader(io.StringIO(
            torg("query", "--url", url, "--collection", "offers", "--csv").stdout)))
        assert len(table) == 3
        # Mistakes are named also where no node answers.
        for option, value, text in (("--near", "99", "longitude,latitude"),
                                    ("--near", "63.83,20.26", "did you mean 20.26,63.83"),
                                    ("--radius", "10km", "metres"), ("--bbox", "1,2", "west"),
                                    ("--theme", "No Theme", "theme"), ("--limit", "x", "limit"),
                                    ("--collection", "thing", "service-points"),
                                    ("--csv", "--near=20,63", "--collection"),
                                    ("--csv", "--json", "once")):
            wrong = torg("query", "--url", "http://127.0.0.1:1", option, value, check=False)
            assert wrong.returncode == 2 and text in wrong.stderr, wrong


def test_status_shows_lag_and_staleness():
    with Federation() as federation:
        a, b = federation.line("A", "B")
        a.start()
        b.start()
        a.publish("offers", feature("Ett"))
        federation.wait_equal()
        status = json.loads(torg("status", "--json", "--config", str(b.conf)).stdout)
        assert {o["name"] for o in status["origins"]} == {"A", "B"}
        table = torg("status", "--config", str(b.conf)).stdout
        assert "A" in table and "lag" in table and "age" in table, table
        a.stop()

        def peer_is_down():
            peers = json.loads(torg("status", "--json", "--config", str(b.conf)).stdout)["peers"]
            return peers[0]["state"] != "open"
        until("B sees that A is gone", peer_is_down)
        b.stop()
        off = torg("status", "--config", str(b.conf), check=False)
        assert off.returncode == 1 and "running" in off.stderr, off


def test_tokens():
    with Federation() as federation:
        node = federation.found("A").start()
        role = torg("token", "create", "--label", "x", "--role", "boss", "--config", str(node.conf),
                    check=False)
        assert role.returncode == 2 and "editor, admin or company" in role.stderr, role
        token = torg("token", "create", "--label", "Bokning", "--config", str(node.conf)).stdout
        listed = json.loads(torg("token", "list", "--json", "--config", str(node.conf)).stdout)
        assert [t["label"] for t in listed] == ["Bokning"]
        assert token.strip() not in json.dumps(listed)

        def post():
            return node.request("POST", "/torg/v1/collections/offers/items", body=feature("X"),
                                headers={"Authorization": f"Bearer {token.strip()}",
                                         "Content-Type": "application/geo+json"}).status
        assert post() == 201
        torg("token", "revoke", listed[0]["id"], "--config", str(node.conf))
        assert post() in (401, 403)


def test_verify_finds_damage_and_repairs_the_index():
    with Federation() as federation:
        node = federation.found("A").start()
        for i in range(50):
            node.publish("offers", feature(f"Nummer {i}", lon=20 + i * 0.01, lat=63.8))
        running = torg("verify", "--config", str(node.conf))
        assert "all is right" in running.stdout
        locked = torg("verify", "--repair", "--config", str(node.conf), check=False)
        assert locked.returncode == 1 and "running" in locked.stderr, locked
        node.stop()
        assert "all is right" in torg("verify", "--repair", "--config", str(node.conf)).stdout
        database = node.directory / "data" / "torg.mdb"
        data = bytearray(database.read_bytes())
        # In the log, the index and the text alike: every copy of one listing's name.
        at = data.find(b"Nummer 31")
        assert at > 0
        while at >= 0:
            data[at:at + 9] = b"Nummer XX"
            at = data.find(b"Nummer 31", at)
        database.write_bytes(data)
        found = torg("verify", "--config", str(node.conf), check=False)
        assert found.returncode == 1 and "wrong" in found.stdout, found
        assert "offers" in found.stdout


# Of enum kv_table: what is derived, and so can be derived again.
DERIVED = {"document": 8, "docnumber": 9, "rtree": 10, "text": 11, "theme": 12, "count": 13,
           "source": 15, "term": 16, "posting": 17, "word": 18, "docterm": 19}


def test_verify_names_and_repairs_every_kind_of_damage():
    """Each table, each way: found by verify, mended by --repair, and nothing lost."""
    with Federation() as federation:
        node = federation.found("A").start()
        path = federation.directory / "generated.geojsonseq"
        torg("generate", "--count", "400", "--seed", "3", "--output", str(path))
        importing(node, path)

        def answers():
            """Without their order, which document numbers decide among equals."""
            asked = [{"near": "20.26,63.83"}, {"q": "a", "datetime": "../.."}, {"theme": "food"},
                     {"bbox": "15,60,22,67"}]
            return [sorted(json.dumps(f, sort_keys=True)
                           for f in node.api("/search", limit=1000, **one)["features"])
                    for one in asked]

        before = answers()
        node.stop()
        data = node.directory / "data"
        seen, failures = set(), []
        for table, number in DERIVED.items():
            for seed, way in enumerate(("garbage", "short", "drop", "foreign")):
                harmed = subprocess.run([os.environ["DAMAGE"], str(data), str(number), way,
                                         str(seed)], capture_output=True, text=True, check=False)
                if harmed.returncode == 3:
                    continue
                assert harmed.returncode == 0, harmed
                found = node.verify()
                mended = torg("verify", "--repair", str(data), check=False)
                if not (found.returncode == 1 and "wrong: index: " in found.stdout
                        and "WRONG  A (" not in found.stdout and mended.returncode == 0
                        and "wrong: index: " in mended.stdout
                        and "all is right" in mended.stdout):
                    failures.append((table, way, seed, found, mended))
                seen.add((table, way))
        assert not failures, "\n".join(str(failure) for failure in failures)
        assert {(t, w) for t in ("document", "docnumber", "rtree", "text", "theme", "count", "source")
                for w in ("garbage", "drop", "foreign")} - seen <= {("source", "garbage")}, seen
        (data / "torg.mdb.bak").write_text("not ours")
        noted = node.verify()
        assert noted.returncode == 0 and "torg.mdb.bak is no file of torg" in noted.stdout, noted
        assert noted.stdout.count("is no file of torg") == 1, noted
        node.start()
        assert answers() == before


def test_verify_names_a_file_that_is_not_whole():
    """Nothing can be repaired in it, and nothing may be made of it: the file stays as it is."""
    with Federation() as federation:
        node = federation.found("A").start()
        path = federation.directory / "generated.geojsonseq"
        torg("generate", "--count", "300", "--output", str(path))
        importing(node, path)
        node.stop()
        data = node.directory / "data"
        database = data / "torg.mdb"
        whole = database.read_bytes()
        cases = [("half", whole[:len(whole) // 2], "cut off"),
                 ("two pages", whole[:2 * 4096], "cut off"),
                 ("empty", b"", "is empty"),
                 ("another's", b"something else " * 1000, "another program's file")]
        for name, harmed, says in cases:
            database.write_bytes(harmed)
            for more in ([], ["--repair"]):
                done = torg("verify", *more, str(data), check=False)
                assert done.returncode == 1 and says in done.stderr, (name, more, done)
                assert "restore a backup" in done.stderr, (name, more, done)
                assert "all is right" not in done.stdout, (name, more, done)
            assert database.stat().st_size == len(harmed), name
        database.write_bytes(whole)
        assert node.verify().returncode == 0, node.verify()


def test_nothing_there():
    done = subprocess.run([TORG, "verify", "/nonexistent"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and "no torg data" in done.stderr, done
    with Federation() as federation:
        node = federation.found("A")
        (node.directory / "data").rename(node.directory / "elsewhere")
        for command in (["export"], ["charter", "show"], ["card"], ["verify"]):
            done = torg(*command, "--config", str(node.conf), check=False)
            assert done.returncode == 1 and "no torg data" in done.stderr, (command, done)


if __name__ == "__main__":
    run(test_help_everywhere, test_init_overwrites_nothing,
        test_init_writes_nothing_when_anything_is_wrong,
        test_peer_add_and_remove_keep_the_file, test_import_reports_each_row_and_updates,
        test_import_csv_from_a_spreadsheet, test_import_notes_what_may_not_be_meant,
        test_export_can_be_imported_elsewhere,
        test_generate_is_deterministic, test_query_prints_a_table,
        test_status_shows_lag_and_staleness, test_tokens,
        test_verify_finds_damage_and_repairs_the_index,
        test_verify_names_and_repairs_every_kind_of_damage,
        test_verify_names_a_file_that_is_not_whole, test_nothing_there)
