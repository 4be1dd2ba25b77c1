# SPDX-License-Identifier: EUPL-1.2
"""PostgreSQL with logical replication: one table with a GiST index of places and a GIN index of
words, on both sides, as torg has both. Asked by libpq itself, with statements that are prepared.
"""
import ctypes
import ctypes.util
import os
import pathlib
import secrets
import shutil

import replication_world as world

POSTGRES_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 20
shared_buffers = {shared_mib}MB
maintenance_work_mem = 512MB
random_page_cost = 1.1
jit = off
autovacuum = off
checkpoint_timeout = 1d
max_wal_size = 16GB
wal_level = logical
# So that its pauses between tries do not flatter us.
wal_retrieve_retry_interval = 10ms
max_sync_workers_per_subscription = 4
"""
SCHEMA = """
CREATE TABLE listing (number int PRIMARY KEY, theme text NOT NULL, place point NOT NULL,
  name text NOT NULL, description text NOT NULL, feature text NOT NULL);
CREATE INDEX listing_place ON listing USING gist (place);
CREATE INDEX listing_words ON listing USING gin
  (to_tsvector('swedish', name || ' ' || description));
CREATE INDEX listing_theme ON listing (theme);
"""
UPSERT = """
INSERT INTO listing SELECT n, t, point(x, y), a, d, f FROM
  unnest($1::int[], $2::text[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[])
  AS put(n, t, x, y, a, d, f)
ON CONFLICT (number) DO UPDATE SET theme = excluded.theme, place = excluded.place,
  name = excluded.name, description = excluded.description, feature = excluded.feature
"""


def library():
    pq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    pointers = ("PQconnectdb", "PQexec", "PQexecPrepared", "PQprepare")
    for name in pointers:
        getattr(pq, name).restype = ctypes.c_void_p
    for name in ("PQgetvalue", "PQerrorMessage"):
        getattr(pq, name).restype = ctypes.c_char_p
    pq.PQconnectdb.argtypes = [ctypes.c_char_p]
    pq.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    pq.PQprepare.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int,
                             ctypes.c_void_p]
    pq.PQexecPrepared.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p,
                                  ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    pq.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    for name in ("PQerrorMessage", "PQstatus", "PQfinish", "PQclear", "PQntuples",
                 "PQresultStatus"):
        getattr(pq, name).argtypes = [ctypes.c_void_p]
    return pq


class Client:
    def __init__(self, pq, port, password):
        self.pq = pq
        self.connection = pq.PQconnectdb(
            f"host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres".encode())
        if pq.PQstatus(self.connection) != 0:
            raise world.BenchError(self.message())

    def message(self):
        return "PostgreSQL: " + self.pq.PQerrorMessage(self.connection).decode()

    def take(self, result):
        """The first column of the rows."""
        if self.pq.PQresultStatus(result) not in (1, 2):
            raise world.BenchError(self.message())
        rows = [self.pq.PQgetvalue(result, i, 0).decode() for i in range(self.pq.PQntuples(result))]
        self.pq.PQclear(result)
        return rows

    def sql(self, text):
        return self.take(self.pq.PQexec(self.connection, text.encode()))

    def prepare(self, name, text):
        self.take(self.pq.PQprepare(self.connection, name.encode(), text.encode(), 0, None))

    def call(self, name, *arguments):
        values = (ctypes.c_char_p * len(arguments))(*(str(a).encode() for a in arguments))
        return self.take(self.pq.PQexecPrepared(self.connection, name.encode(), len(arguments),
                                                values, None, None, 0))


def array(values):
    return "{" + ",".join('"' + str(v).replace("\\", "\\\\").replace('"', '\\"') + '"'
                          for v in values) + "}"


class Server:
    def __init__(self, pq, binaries, directory, name):
        self.binaries, self.home = binaries, pathlib.Path(directory) / name
        self.data, self.log = self.home / "data", self.home / "log"
        self.port, password = world.free_port(), secrets.token_hex(24)
        self.home.mkdir()
        (self.home / "password").write_text(password)
        if os.getuid() == 0:
            for path in (self.home, self.home / "password"):
                shutil.chown(path, "postgres", "postgres")
        self.program("initdb", "-D", str(self.data), "-U", "postgres", "-A", "scram-sha-256",
                     "--pwfile", str(self.home / "password"), "-E", "UTF8", "--no-locale")
        memory_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(POSTGRES_CONF.format(port=self.port, shared_mib=memory_mib // 8))
        self.program("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-w", "-s", "start")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])
        self.password = password
        self.client = Client(pq, self.port, password)
        self.client.sql(SCHEMA)

    def program(self, name, *arguments):
        # PostgreSQL refuses to run as root; its package has a user for it.
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        world.run(*user, f"{self.binaries}/{name}", *arguments, cwd="/")

    def end(self):
        self.program("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "-s", "stop")


class Postgres(world.Pair):
    name = "PostgreSQL"

    def __init__(self, programs, directory):
        del programs
        pq = library()
        binaries = world.run("pg_config", "--bindir").strip()
        self.servers = []
        for name in ("postgres-source", "postgres-copy"):
            self.servers.append(Server(pq, binaries, directory, name))
        self.source, self.copy = (server.client for server in self.servers)
        self.source.prepare("put", UPSERT)
        self.source.prepare("wal", "SELECT pg_current_wal_flush_lsn()")
        self.source.sql("CREATE PUBLICATION bench FOR TABLE listing")
        self.copy.prepare("name", "SELECT name FROM listing WHERE number = $1")
        self.copy.prepare("copied", "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate = 'r'")
        self.source.prepare("followed", "SELECT 1 FROM pg_stat_replication WHERE "
                            "application_name = 'bench' AND flush_lsn >= $1::pg_lsn")
        self.followed = False
        self.wal = None

    def write(self, listings):
        self.source.call("put", array(l.number for l in listings),
                         array(l.theme for l in listings), array(f"{l.lon:.7f}" for l in listings),
                         array(f"{l.lat:.7f}" for l in listings), array(l.name() for l in listings),
                         array(l.description() for l in listings),
                         array(l.feature() for l in listings))
        self.wal = None

    def load(self, listings):
        for part in world.chunks(listings):
            self.write(part)

    def settle(self):
        for client in (self.source, self.copy):
            client.sql("VACUUM ANALYZE listing")
            client.sql("CHECKPOINT")

    def follow(self):
        if self.followed:
            self.copy.sql("ALTER SUBSCRIPTION bench ENABLE")
            return
        self.followed = True
        source = self.servers[0]
        # The copy acknowledges what is on its disk, as ours does.
        self.copy.sql(f"CREATE SUBSCRIPTION bench CONNECTION 'host=127.0.0.1 port={source.port} "
                      f"user=postgres password={source.password} dbname=postgres' "
                      "PUBLICATION bench WITH (synchronous_commit = on)")

    def leave(self):
        self.copy.sql("ALTER SUBSCRIPTION bench DISABLE")
        world.until("the subscription has stopped",
                    lambda: not self.source.sql("SELECT 1 FROM pg_stat_replication"))

    def has_all(self):
        if self.copy.call("copied") != ["1"]:
            return False
        if self.wal is None:
            self.wal = self.source.call("wal")[0]
        return bool(self.source.call("followed", self.wal))

    def shows(self, listing):
        return self.copy.call("name", listing.number) == [listing.name()]

    def pids(self):
        return [self.servers[1].pid]

    def end(self):
        for server in self.servers:
            server.end()
