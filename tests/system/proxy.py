# SPDX-License-Identifier: EUPL-1.2
"""A line between two daemons that can be slow, cut, frozen and noisy.

It passes TLS on as it is: what it changes, the daemons must notice by themselves.
"""
import asyncio
import threading

from harness import free_port


class Proxy:
    """Listens on port, passes on to to_port of the same machine."""

    def __init__(self, to_port, delay_s=0.0):
        self.port = free_port()
        self.to_port = to_port
        self.delay_s = delay_s      # each way
        self.frozen = False         # nothing passes, and nobody is told: a line that is half open
        self.passed = 0             # bytes, both ways, of all connections
        self.accepted = 0
        self._cut_at = None
        self._corrupt_at = None
        self._writers = set()
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def cut_after(self, count):
        """Cut every connection once so many bytes more have passed."""
        self._cut_at = self.passed + count

    def corrupt_after(self, count):
        """Turn one bit of the first byte after so many more."""
        self._corrupt_at = self.passed + count

    @property
    def cut_done(self):
        return self._cut_at is None

    @property
    def corrupt_done(self):
        return self._corrupt_at is None

    # -- in the loop's thread

    def _stop(self):
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        self._loop.call_soon(self._loop.stop)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", self.port))
        self._started.set()
        self._loop.run_forever()

    async def _connected(self, reader, writer):
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = self._loop.create_task(self._pump(source, sink))
            self._tasks.add(task)  # or it would be collected
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source, sink):
        try:
            while data := await source.read(16384):
                while self.frozen:
                    await asyncio.sleep(0.02)
                self._pass(data, sink)
        except OSError:
            pass
        # What is on its way arrives before the end does: the delay is the same for all.
        self._loop.call_later(self.delay_s, sink.close)
        self._writers.discard(sink)

    def _pass(self, data, sink):
        if self._corrupt_at is not None and self.passed + len(data) > self._corrupt_at:
            at = max(0, self._corrupt_at - self.passed)
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
            self._corrupt_at = None
        self.passed += len(data)
        if self._cut_at is not None and self.passed >= self._cut_at:
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()
            self._cut_at = None
            return
        self._loop.call_later(self.delay_s, self._write, sink, data)

    @staticmethod
    def _write(sink, data):
        if not sink.is_closing():
            sink.write(data)
