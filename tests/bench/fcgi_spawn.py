#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""fcgi_spawn.py SOCKET COUNT PROGRAM...: FastCGI processes that share one socket as descriptor 0.

Ends them when it is told to end.
"""
import os
import signal
import socket
import subprocess
import sys

path, count, program = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o666)
listener.listen(511)
children = [subprocess.Popen(program, stdin=listener, stdout=subprocess.DEVNULL)
            for _ in range(count)]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    for child in children:
        child.wait()
finally:
    for child in children:
        child.kill()  # FastCGI programs end at SIGTERM only after one more request
    for child in children:
        child.wait()
