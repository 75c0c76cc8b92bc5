"""Prometheus' remote write 1.0 by hand, so that any program that takes it can be given exactly these samples: a
protobuf message of series, within a snappy block that has it as it is."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import urllib3

Sample = tuple[int, float | bytes]

# Prometheus' stale marker: a NaN with just these bits. As bytes, because nothing promises that a float keeps them.
STALE = struct.pack("<Q", 0x7FF0_0000_0000_0002)

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """A field with bytes in it: a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def label_bytes(labels: dict[str, str]) -> bytes:
    """The labels of a series, sorted as receivers want them."""
    pairs = sorted(labels.items())
    return b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in pairs)


def sample_bytes(samples: Iterable[Sample]) -> bytes:
    out = []
    for time_ms, value in samples:
        content = value if isinstance(value, bytes) else struct.pack("<d", value)
        out.append(field(2, b"\x09" + content + b"\x10" + varint(time_ms)))
    return b"".join(out)


def message(series: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A WriteRequest of series: the bytes of their labels and of their samples."""
    return b"".join(field(1, labels + samples) for labels, samples in series)


def uncompressed(content: bytes) -> bytes:
    """A snappy block without any compression: its length, then literals of at most 64 KiB."""
    out = [varint(len(content))]
    for at in range(0, len(content), 65536):
        piece = content[at : at + 65536]
        out.append(b"\xf4" + struct.pack("<H", len(piece) - 1) + piece)
    return b"".join(out)


def push(http: urllib3.PoolManager, origin: str, content: bytes) -> None:
    """Sends a message, and expects it to be taken."""
    answer = http.request("POST", f"{origin}/api/v1/write", body=uncompressed(content), headers=HEADERS)
    assert answer.status in (200, 204), (answer.status, answer.data[:400])


def push_series(
    http: urllib3.PoolManager, origin: str, series: Sequence[tuple[dict[str, str], Sequence[Sample]]]
) -> None:
    push(http, origin, message((label_bytes(labels), sample_bytes(samples)) for labels, samples in series))
