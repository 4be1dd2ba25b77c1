#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""kill -9 at any moment: what was acknowledged is there, and reads are answered at once."""
import random
import threading

from harness import PATIENCE_S, Federation, feature, run, until

KILLS = 51
SEED = 20261121


class Publisher(threading.Thread):
    """Publishes to one node without pause and remembers what was acknowledged."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.acknowledged = []
        self.attempts = 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            name = f"{self.node.name} nummer {self.attempts:06}"
            self.attempts += 1
            try:
                answer = self.node.write("POST", "/collections/offers/items", feature(name),
                                         timeout=10)
            except Exception:  # noqa: BLE001: the daemon was killed under the request
                self.ending.wait(0.01)
                continue
            if answer.status == 201:
                self.acknowledged.append((answer.json()["id"], name))
            else:
                self.ending.wait(0.01)


def check_holds(node, acknowledged):
    for listing, name in acknowledged:
        answer = node.get(f"/torg/v1/collections/offers/items/{listing}")
        assert answer.status == 200, f"{node.name} lost {listing} ({name}): {answer}"
        assert answer.json()["properties"]["name"]["sv"] == name


def test_kill_9():
    chance = random.Random(SEED)
    with Federation() as federation:
        nodes = federation.line("A", "B", "C")
        for node in nodes:
            node.start()
            node.token()
        publishers = [Publisher(node) for node in nodes]
        for publisher in publishers:
            publisher.start()
        for _ in range(KILLS):
            victim = chance.randrange(len(nodes))
            node, publisher = nodes[victim], publishers[victim]
            more = len(publisher.acknowledged) + chance.randrange(1, 6)
            until(f"{node.name} takes writes (seed {SEED})",
                  lambda p=publisher, m=more: len(p.acknowledged) >= m)
            node.kill()
            promised = list(publisher.acknowledged)
            node.start(ready=False)
            # Reads do not wait for the peers: they are answered before the node is ready.
            until(f"{node.name} answers reads",
                  lambda n=node: n.get("/torg/v1/collections").status == 200)
            check_holds(node, promised[-20:])
            node.wait_ready()
        for publisher in publishers:
            publisher.ending.set()
        for publisher in publishers:
            publisher.join(PATIENCE_S)
        federation.wait_equal()
        for node in nodes:
            for publisher in publishers:
                check_holds(node, publisher.acknowledged)
        for node in nodes:
            node.stop()
            checked = node.verify()
            assert checked.returncode == 0, checked.stdout
        print(f"{KILLS} kills, {sum(len(p.acknowledged) for p in publishers)} acknowledged "
              f"of {sum(p.attempts for p in publishers)} sent")


if __name__ == "__main__":
    run(test_kill_9)
