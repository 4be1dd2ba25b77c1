#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Print frames.txt: one frame of each type, packed by hand from docs/protocol.md.

It shares nothing with protocol/frame.c, so where the two agree, both have read
the document in the same way. tests/unit/test_frame.c compares the bytes.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


class Raw(bytes):
    """A value that is packed already."""


def integer(n):
    if 0 <= n < 128:
        return struct.pack("B", n)
    if -32 <= n < 0:
        return struct.pack("b", n)
    assert n >= 0
    for code, form, limit in ((0xCC, ">B", 1 << 8), (0xCD, ">H", 1 << 16), (0xCE, ">I", 1 << 32)):
        if n < limit:
            return bytes([code]) + struct.pack(form, n)
    return b"\xcf" + struct.pack(">Q", n)


def binary(b):
    if len(b) < 1 << 8:
        return b"\xc4" + struct.pack(">B", len(b)) + b
    return b"\xc5" + struct.pack(">H", len(b)) + b


def text(s):
    b = s.encode()
    return (bytes([0xA0 | len(b)]) if len(b) < 32 else b"\xd9" + bytes([len(b)])) + b


def value(v):
    if isinstance(v, Raw):
        return bytes(v)
    if v is None:
        return b"\xc0"
    if isinstance(v, int):
        return integer(v)
    if isinstance(v, bytes):
        return binary(v)
    if isinstance(v, str):
        return text(v)
    assert len(v) < 16
    return bytes([0x90 | len(v)]) + b"".join(value(x) for x in v)


def frame(kind, *fields):
    body = value(fields)
    return struct.pack(">IBB", len(body) + 2, kind, 0) + body


def known(name):
    with open(os.path.join(HERE, "format.txt"), encoding="ascii") as file:
        for line in file:
            if line.startswith(name + " = "):
                return bytes.fromhex(line.split(" = ")[1])
    raise KeyError(name)


def padded(head, size):
    return head + bytes(size - len(head))


def origin(byte):
    return bytes([byte]) * 32


SIGNED = [padded(b"\x01\x02\x03", 40), padded(b"\x09", 64)]
ENTRIES = [[padded(b"\x98", 80), padded(b"\x93", 300)], [padded(b"\x98", 60), None]]
HASH = padded(b"\x01", 32)
HEADERS = [bytes(80), bytes(70)]
FRAMES = [
    ("hello", frame(0x01, "torg", 1, 3, 1, origin(5), [1 << 20, 4 << 20], 1790000000000,
                    "torgd 0.1.0", 12345678901234)),
    ("sub", frame(0x02, [[None, 6], ["north", 0xFFFFFFFF], [origin(7), 2]])),
    ("summary", frame(0x03, 2, bytes(64))),
    ("have", frame(0x04, [[origin(i), 1, i * 1000, 2**53 - 1, padded(bytes([i]), 16), 0x21FE, i, 1]
                          for i in range(3)])),
    ("charter-req", frame(0x05, origin(1), 4)),
    ("charter", frame(0x06, origin(1), [Raw(known("charter-0-signed"))])),
    ("head", frame(0x07, SIGNED)),
    ("batch", frame(0x08, SIGNED, ENTRIES)),
    ("beat", frame(0x09, [SIGNED])),
    ("tree", frame(0x0A, [[origin(3), 1], [origin(4), 0]])),
    ("pull", frame(0x0B, 7, origin(1), 0x21FE, 99, 1, 3, padded(b"\x04", 32))),
    ("delta", frame(0x0C, 7, SIGNED, HEADERS)),
    ("trie-req", frame(0x0D, 8, origin(1), 31, HASH, 512, [b"", b"\x01\x0f\x00"])),
    ("trie", frame(0x0E, 8, SIGNED, [[b"\x01\x0f\x00", 0, bytes(576)], [b"", 1, bytes(96)]])),
    ("fetch", frame(0x0F, 9, origin(1), 1, [[padded(b"\x01", 16), padded(b"\x02", 32)]])),
    ("entries", frame(0x10, 9, 1, ENTRIES)),
    ("ancestry-req", frame(0x11, 1, origin(1), 1, 900, 2)),
    ("ancestry", frame(0x12, 1, HEADERS)),
    ("proof", frame(0x13, origin(1), bytes(64))),
    ("credit", frame(0x14, 1, 500000)),
    ("ping", frame(0x15, 5, -1, 100)),
    ("pong", frame(0x16, 5, -1, 100)),
    ("goaway", frame(0x17, 16, "see you", 60)),
    ("error", frame(0x18, 3, 8, "below the floor")),
]



def zstd(packed):
    """The same frame with flag 1: zstd's magic, one segment with a size of four bytes, one raw block."""
    body = packed[6:]
    block = (len(body) << 3 | 1).to_bytes(3, "little") + body
    body = bytes.fromhex("28b52ffda0") + len(body).to_bytes(4, "little") + block
    return struct.pack(">IBB", len(body) + 2, packed[4], 1) + body


FRAMES.append(("batch-zstd", zstd(dict(FRAMES)["batch"])))

print("# A frame of each type, byte for byte; docs/protocol.md says what the fields are.")
print("# Made by frames.py; what stands inside signed objects is filling, but for the charter.")
for name, packed in FRAMES:
    print(f"frame-{name} = {packed.hex()}")
