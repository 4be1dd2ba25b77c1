# SPDX-License-Identifier: EUPL-1.2
"""Redis with a replica: a hash of features and a sorted set of places. Both append to a log that is
synced at every commit. It has neither an index of words nor signatures, and its replica keeps what
it is given unverified: a mark for what replication can cost at the least.
"""
import os
import pathlib
import signal
import socket

import replication_world as world


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=world.PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, *arguments):
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            data = argument if isinstance(argument, bytes) else str(argument).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))

    def receive(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-" or not line:
            raise world.BenchError(f"Redis: {rest.decode()}")
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def call(self, *arguments):
        self.send(*arguments)
        return self.receive()

    def info(self, section):
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


class Redis(world.Pair):
    name = "Redis"

    def __init__(self, programs, directory):
        del programs
        self.processes, self.ports = [], []
        for name in ("redis-source", "redis-copy"):
            home = pathlib.Path(directory) / name
            home.mkdir()
            port = world.free_port()
            conf = home / "redis.conf"
            # A full copy goes by way of memory, not of a file; a link is not lost for a backlog.
            conf.write_text(f"bind 127.0.0.1\nport {port}\nprotected-mode no\ndir {home}\n"
                            f"logfile {home}/log\nsave \"\"\nappendonly yes\nappendfsync always\n"
                            "auto-aof-rewrite-percentage 0\nrepl-diskless-sync yes\n"
                            "repl-diskless-sync-delay 0\nrepl-diskless-load swapdb\n"
                            "client-output-buffer-limit replica 0 0 0\nrepl-timeout 3600\n"
                            "daemonize no\n")
            self.processes.append(world.Process(["redis-server", str(conf)], str(home) + ".log"))
            self.ports.append(port)
        self.source, self.copy = (self.connect(port) for port in self.ports)
        self.following = False

    @staticmethod
    def connect(port):
        client = []

        def connected():
            try:
                client.append(Client(port))
            except OSError:
                return False
            return True
        world.until("Redis answers", connected)
        return client[0]

    def write(self, listings):
        self.source.send("MULTI")
        for listing in listings:
            self.source.send("HSET", f"l:{listing.number}", "name", listing.name(), "theme",
                             listing.theme, "feature", listing.feature())
            self.source.send("GEOADD", "places", f"{listing.lon:.7f}", f"{listing.lat:.7f}",
                             listing.number)
        self.source.send("EXEC")
        for _ in range(2 * len(listings) + 1):
            self.source.receive()
        self.source.receive()

    def load(self, listings):
        for part in world.chunks(listings):
            self.write(part)

    def follow(self):
        if self.following:  # It was stopped: what it missed waits in the source's memory.
            os.kill(self.processes[1].process.pid, signal.SIGCONT)
            return
        self.following = True
        self.copy.call("REPLICAOF", "127.0.0.1", self.ports[0])

    def leave(self):
        os.kill(self.processes[1].process.pid, signal.SIGSTOP)

    def has_all(self):
        told, held = self.source.info("replication"), self.copy.info("replication")
        return (held.get("master_link_status") == "up" and
                int(held["slave_repl_offset"]) >= int(told["master_repl_offset"]))

    def shows(self, listing):
        return self.copy.call("HGET", f"l:{listing.number}", "name") == listing.name().encode()

    def pids(self):
        return [self.processes[1].process.pid]

    def end(self):
        os.kill(self.processes[1].process.pid, signal.SIGCONT)
        for process in self.processes:
            process.end()
