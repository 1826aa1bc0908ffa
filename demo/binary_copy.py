"""Packs rows for COPY ... (FORMAT BINARY) (standard library only).

PostgreSQL's documentation, "COPY, Binary Format": a header, per row a field count and per field an
int32 length (-1 is NULL) and the bytes of the type's send function, a trailer of -1.
"""

import struct
import sys
from array import array

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)
TEXT_OID = 25


def pack_int4(value: int) -> bytes:
    return struct.pack("!i", value)


def pack_text(value: str) -> bytes:
    """UTF-8; a zero byte, which no text of PostgreSQL holds, is dropped."""
    return value.replace("\0", "").encode()


def pack_text_array(values: list[str]) -> bytes:
    """One-dimensional text[] with lower bound 1; an empty list is the array without dimensions."""
    if not values:
        return struct.pack("!iii", 0, 0, TEXT_OID)
    parts = [struct.pack("!iiiii", 1, 0, TEXT_OID, len(values), 1)]
    for value in values:
        data = pack_text(value)
        parts.append(struct.pack("!i", len(data)) + data)
    return b"".join(parts)


def pack_vector(values) -> bytes:
    """vector: int16 dimensions, int16 zero, float4 each in network order.

    `values` is any sequence of floats; a C-contiguous float32 buffer (numpy) is the quick way.
    """
    try:
        numbers = array("f", memoryview(values).cast("B").tobytes())
    except TypeError:
        numbers = array("f", values)
    if sys.byteorder == "little":
        numbers.byteswap()
    return struct.pack("!hh", len(numbers), 0) + numbers.tobytes()


def pack_row(fields: list[bytes | None]) -> bytes:
    parts = [struct.pack("!h", len(fields))]
    for data in fields:
        parts.append(struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data)
    return b"".join(parts)
