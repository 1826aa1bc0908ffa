#!/usr/bin/env python3
"""Random and mutated text and bytes into the input and receive functions of vector, halfvec and sparsevec.

What must be taken and what not is decided here anew from the formats: numbers by the C library's strtof (but
hexadecimal, which the types do not take), the rest by hand. Every value that the server takes must come back with the
expected bytes; every other must be an error of one of the mistakes that this file finds in it. TAP on standard output.

parsers.py CASES SEED: so many cases for each of the six functions. PGHOST ... name the server, whose database has the
extension.
"""

import ctypes
import random
import struct
import sys

import numpy as np
import psycopg

libc = ctypes.CDLL(None, use_errno=True)
libc.strtof.restype = ctypes.c_float
libc.strtof.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
ERANGE = 34

BLANKS = " \t\n\r\v\f"
SYNTAX, DATA, RANGE, LIMIT, PROTOCOL, MORE = "22P02", "22000", "22003", "54000", "08P01", "22P03"
DENSE_DIMS, SPARSE_DIMS, NON_ZEROS = 16000, 1_000_000_000, 16000


class Refused(Exception):
    """Carries the SQLSTATE of the mistake."""


class Text:
    """A reading position in a text that ends with a zero byte, as the server has it."""

    def __init__(self, text):
        self.bytes = text.encode() + b"\0"
        self.buffer = ctypes.create_string_buffer(self.bytes)
        self.at = 0

    def peek(self):
        return chr(self.bytes[self.at])

    def skip(self):
        while self.peek() in BLANKS:
            self.at += 1

    def expect(self, character):
        self.skip()
        if self.peek() != character:
            raise Refused(SYNTAX)
        self.at += 1

    def end(self):
        self.skip()
        if self.peek() != "\0":
            raise Refused(SYNTAX)

    def number(self, tiny_is_error=False):
        self.skip()
        rest = self.bytes[self.at :]
        digits = rest.lstrip(b"+-")
        if digits[:2].lower() == b"0x":
            raise Refused(SYNTAX)  # a zero, and then an "x" that cannot follow
        end = ctypes.c_void_p()
        start = ctypes.addressof(self.buffer) + self.at
        ctypes.set_errno(0)
        value = libc.strtof(start, ctypes.byref(end))
        # Blanks were skipped, and strtof knows no others.
        if end.value == start:
            raise Refused(SYNTAX)
        infinite = value in (float("inf"), float("-inf"))
        if ctypes.get_errno() == ERANGE and (infinite or (tiny_is_error and value == 0)):
            raise Refused(RANGE)
        if infinite or value != value:
            raise Refused(DATA)
        self.at += end.value - start
        return np.float32(value)

    def integer(self):
        self.skip()
        start = self.at
        if self.peek() in "+-":
            self.at += 1
        first = self.at
        while self.peek() in "0123456789":
            self.at += 1
        if self.at == first:
            raise Refused(SYNTAX)
        return int(self.bytes[start : self.at])


def half(value):
    with np.errstate(over="ignore"):
        narrow = np.float16(value)
    if np.isinf(narrow):
        raise Refused(RANGE)
    return narrow


def dense_bytes(values, code):
    return struct.pack(">hh", len(values), 0) + b"".join(struct.pack(">" + code, value) for value in values)


def read_dense(text, code):
    """The binary form of what the text says, or Refused."""
    t = Text(text)
    t.expect("[")
    t.skip()
    if t.peek() == "]":
        raise Refused(DATA)
    values = []
    while True:
        value = t.number()
        values.append(value if code == "f" else half(value))
        t.skip()
        if t.peek() == "]":
            break
        t.expect(",")
    t.at += 1
    t.end()
    if len(values) > DENSE_DIMS:
        raise Refused(LIMIT)
    return dense_bytes(values, code)


def read_sparse(text):
    t = Text(text)
    t.expect("{")
    t.skip()
    elements = []
    while t.peek() != "}":
        index = t.integer()
        t.expect(":")
        elements.append((index, t.number(tiny_is_error=True)))
        t.skip()
        if t.peek() != "}":
            t.expect(",")
            t.skip()
            if t.peek() == "}":
                raise Refused(SYNTAX)
    t.at += 1
    t.expect("/")
    dims = t.integer()
    t.end()
    if dims < 1:
        raise Refused(DATA)
    if dims > SPARSE_DIMS:
        raise Refused(LIMIT)
    elements = sorted((index, value) for index, value in elements if value != 0)
    indices = [index for index, _ in elements]
    if any(index < 1 or index > dims for index in indices) or len(set(indices)) < len(indices):
        raise Refused(DATA)
    return sparse_bytes(dims, [(index - 1, value) for index, value in elements])


def sparse_bytes(dims, elements, unused=0):
    return (
        struct.pack(">iii", dims, len(elements), unused)
        + b"".join(struct.pack(">i", index) for index, _ in elements)
        + b"".join(struct.pack(">f", value) for _, value in elements)
    )


def receive(message, size, body):
    """A message whose length follows from its head of `size` bytes: what is missing or too much is an error."""
    if len(message) < size:
        raise Refused(PROTOCOL)
    length, check = body(message[:size])
    if len(message) < size + length:
        raise Refused(PROTOCOL)
    check(message[size : size + length])
    if len(message) > size + length:
        raise Refused(MORE)
    return message


def receive_dense(message, code):
    def body(head):
        dims, unused = struct.unpack(">Hh", head)
        if dims > DENSE_DIMS:
            raise Refused(LIMIT)
        if dims < 1 or unused != 0:
            raise Refused(DATA)

        def check(values):
            if not np.isfinite(np.frombuffer(values, ">f2" if code == "e" else ">f4")).all():
                raise Refused(DATA)

        return dims * struct.calcsize(code), check

    return receive(message, 4, body)


def receive_sparse(message):
    def body(head):
        dims, count, unused = struct.unpack(">iii", head)
        if dims < 1:
            raise Refused(DATA)
        if dims > SPARSE_DIMS or count > NON_ZEROS:
            raise Refused(LIMIT)
        if count < 0:
            raise Refused(DATA)
        if count > dims:
            raise Refused(LIMIT)
        if unused != 0:
            raise Refused(DATA)

        def check(rest):
            indices = np.frombuffer(rest[: 4 * count], ">i4").astype(np.int64)
            values = np.frombuffer(rest[4 * count :], ">f4")
            if (indices < 0).any() or (indices >= dims).any() or (np.diff(indices) <= 0).any():
                raise Refused(DATA)
            if not np.isfinite(values).all() or (values == 0).any():
                raise Refused(DATA)

        return 8 * count, check

    return receive(message, 12, body)


class Maker:
    """Good values, and what can be done to them."""

    NUMBERS = (
        "0 -0 1 -1.5 +2 .5 5. 1e3 1E-3 65504 65519.99 65520 3.4028235e38 3.4028236e38 1e39 -1e400 1e-45 7e-46 1e-46 "
        "0e999999999999 1e99999999999 1.17549435e-38 16777217 0.1 nan -NaN inf -Infinity infinit 0x1p3 0x 1e 1e+ 1_0 "
        ". - +- e5 1.2.3 1e2.5 ١ 00012 5.9604645e-08 2.98e-08"
    ).split()
    PIECES = list("[]{}:,/ \t\n\v\f+-.eExX0123456789") + ["é", "\u00a0", "\u3000", "nan", "inf", "NULL", '"', "'", "\\"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def blank(self):
        return "" if self.random.random() < 0.8 else self.random.choice(BLANKS) * self.random.randint(1, 3)

    def good_number(self):
        kind = self.random.randrange(4)
        if kind == 0:
            return repr(self.random.uniform(-100, 100))
        if kind == 1:
            return str(self.random.randint(-60000, 60000))
        if kind == 2:
            return f"{self.random.uniform(-1, 1):.{self.random.randint(1, 40)}e}"
        return "".join(self.random.choice("0123456789") for _ in range(self.random.randint(1, 30))) + "e-20"

    def number(self):
        return self.random.choice(self.NUMBERS) if self.random.random() < 0.05 else self.good_number()

    def many(self):
        return self.random.choice((1, 1, 2, 3, 5, 17, 300))

    def dense(self):
        if self.random.random() < 0.0005:
            count = self.random.choice((DENSE_DIMS, DENSE_DIMS + 1))
            return "[" + ",".join(["1"] * count) + "]"
        items = (self.blank() + self.number() + self.blank() for _ in range(self.many()))
        return self.blank() + "[" + ",".join(items) + "]" + self.blank()

    def sparse(self):
        count = self.random.choice((0, 1, 2, 3, 9, 100))
        dims = self.random.choice((count + 1, 1000, SPARSE_DIMS, SPARSE_DIMS + 1, 2**31, 2**70, -1, 0))
        if self.random.random() < 0.6:
            dims = 1000
        indices = self.random.sample(range(1, max(min(dims, 10**6), count) + 1), count)
        if count and self.random.random() < 0.1:
            indices[-1] = self.random.choice((0, -1, indices[0], dims + 1, 2**31, -(2**63), 2**64))
        b = self.blank
        numbers = [self.number() for _ in indices]
        if count and self.random.random() < 0.1:
            numbers[-1] = "0"  # an element that is dropped, wherever it is
        items = (f"{b()}{index}{b()}:{b()}{number}{b()}" for index, number in zip(indices, numbers))
        return f"{b()}{{{b()}{','.join(items)}}}{b()}/{b()}{dims}{b()}"

    def mutated(self, text):
        """As it is half of the time, else with pieces put in, taken out, replaced or swapped."""
        if self.random.random() < 0.5:
            return text
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(text) + 1)
            cut = at + self.random.choice((0, 0, 1, 1, 2, 10))
            put = "".join(self.random.choice(self.PIECES) for _ in range(self.random.choice((0, 1, 1, 2))))
            text = text[:at] + put + text[cut:]
        return text

    def noise(self):
        return "".join(self.random.choice(self.PIECES) for _ in range(self.random.randint(0, 40)))

    def text(self, make):
        return self.noise() if self.random.random() < 0.1 else self.mutated(make())

    def value(self):
        return self.random.choice((1.0, -2.5, 0.1, 3.0e38, 1e-45, float(self.random.randint(-9, 9))))

    def dense_message(self, code):
        top = 60000 if code == "e" else 1e38
        values = [max(-top, min(top, self.value())) for _ in range(self.many())]
        return dense_bytes(values, code)

    def sparse_message(self):
        count = self.random.choice((0, 1, 2, 3, 9, 100))
        dims = self.random.choice((max(count, 1), 1000, SPARSE_DIMS))
        indices = sorted(self.random.sample(range(min(dims, 10**6)), count))
        return sparse_bytes(dims, [(index, self.value() or 1.0) for index in indices])

    def bytes(self, make):
        kind = self.random.random()
        if kind < 0.1:
            return self.random.randbytes(self.random.randint(0, 60))
        message = bytearray(make())
        if kind < 0.5:
            return bytes(message)
        for _ in range(self.random.randint(1, 3)):
            how = self.random.randrange(5)
            at = self.random.randrange(len(message) + 1)
            if how == 0:
                del message[at:]
            elif how == 1:
                message += self.random.randbytes(self.random.randint(1, 9))
            elif how == 2 and message:
                message[at % len(message)] = self.random.randrange(256)
            elif how == 3 and message:
                message[at % len(message)] ^= 1 << self.random.randrange(8)
            else:
                odd = struct.pack(">I", self.random.choice((0x7F800000, 0xFFC00000, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF)))
                at -= at % 4
                message[at : at + 4] = odd
        return bytes(message)


TEXT, BINARY = 0, 1


def cases(maker):
    """name, type, format, how a case is made, what it means"""
    return (
        ("vector_in", "vector", TEXT, lambda: maker.text(maker.dense), lambda x: read_dense(x, "f")),
        ("halfvec_in", "halfvec", TEXT, lambda: maker.text(maker.dense), lambda x: read_dense(x, "e")),
        ("sparsevec_in", "sparsevec", TEXT, lambda: maker.text(maker.sparse), read_sparse),
        ("vector_recv", "vector", BINARY, lambda: maker.bytes(lambda: maker.dense_message("f")), lambda x: receive_dense(x, "f")),
        ("halfvec_recv", "halfvec", BINARY, lambda: maker.bytes(lambda: maker.dense_message("e")), lambda x: receive_dense(x, "e")),
        ("sparsevec_recv", "sparsevec", BINARY, lambda: maker.bytes(maker.sparse_message), receive_sparse),
    )


class Server:
    def __init__(self):
        self.connection = psycopg.connect(autocommit=True)
        for kind in ("vector", "halfvec", "sparsevec"):
            [oid] = self.connection.execute("SELECT %s::regtype::oid", (kind,)).fetchone()
            self.connection.pgconn.prepare(kind.encode(), b"SELECT $1", [oid])

    def take(self, kind, form, value):
        """The binary form of what it takes, or the SQLSTATE of its refusal."""
        value = value.encode() if form == TEXT else value
        result = self.connection.pgconn.exec_prepared(kind.encode(), [value], [form], BINARY)
        if result.status == psycopg.pq.ExecStatus.TUPLES_OK:
            return result.get_value(0, 0), None
        state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
        return None, state.decode() if state else "the connection is lost"


def differs(expected, refused, taken, state):
    if refused is None:
        return taken != expected
    # With two mistakes in one value either may be the one that is reported, but never one that is not there:
    # `refused` is the first that the formats' order finds, and only it is told apart from a value taken.
    return taken is not None or state not in (SYNTAX, DATA, RANGE, LIMIT, PROTOCOL, MORE)


def run(count, seed):
    server = Server()
    failed = 0
    for number, (name, kind, form, make, read) in enumerate(cases(Maker(seed)), 1):
        wrong, good, states, same_state = [], 0, {}, 0
        for _ in range(count):
            value = make()
            expected = refused = None
            try:
                expected = read(value)
            except Refused as mistake:
                refused = str(mistake)
            taken, state = server.take(kind, form, value)
            if differs(expected, refused, taken, state) and len(wrong) < 5:
                wrong.append(f"{value!r:.300}: expected {expected or refused!r:.80}, got {taken or state!r:.80}")
            good += taken is not None
            states[state] = states.get(state, 0) + 1
            same_state += refused is not None and refused == state
        bad = sum(n for state, n in states.items() if state)
        # Neither side of the test is empty, and nearly every error is the one that this file finds first.
        if not (good > count / 10 and bad > count / 10 and same_state > 0.97 * bad):
            wrong.append(f"{good} taken, {same_state} of {bad} refusals as expected")
        failed += bool(wrong)
        summary = ", ".join(f"{n} {state}" for state, n in sorted(states.items(), key=str) if state)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}: {good} of {count} taken, {summary}", flush=True)
        for line in wrong:
            print("# " + line)
    print("1..6")
    return failed


if __name__ == "__main__":
    sys.exit(1 if run(int(sys.argv[1]), int(sys.argv[2])) else 0)
