"""QPACK decoding as RFC 9204 writes it, plain and slow, to hold the real one to. Strings without Huffman."""

from dataclasses import dataclass, field

from h3push.wire.qpack.instructions import encode_integer

Fields = list[tuple[bytes, bytes]]


class ModelError(Exception):
    """The RFC calls this an error."""


@dataclass
class ModelDecoder:
    """Dynamic table as a list of everything ever inserted, and how much of it is still there."""

    max_capacity: int
    static: Fields
    capacity: int = 0
    entries: Fields = field(default_factory=list)
    dropped: int = 0

    def size(self) -> int:
        return sum(len(name) + len(value) + 32 for name, value in self.entries[self.dropped :])

    def set_capacity(self, capacity: int) -> None:
        if capacity > self.max_capacity:
            raise ModelError
        self.capacity = capacity
        self.evict()

    def evict(self) -> None:
        while self.size() > self.capacity:
            self.dropped += 1

    def insert(self, name: bytes, value: bytes) -> None:
        if len(name) + len(value) + 32 > self.capacity:
            raise ModelError
        self.entries.append((name, value))
        self.evict()

    def relative(self, index: int) -> tuple[bytes, bytes]:
        return self.absolute(len(self.entries) - 1 - index)

    def absolute(self, index: int) -> tuple[bytes, bytes]:
        if not self.dropped <= index < len(self.entries):
            raise ModelError
        return self.entries[index]

    def static_entry(self, index: int) -> tuple[bytes, bytes]:
        if index >= len(self.static):
            raise ModelError
        return self.static[index]

    def required_inserts(self, encoded: int) -> int:
        """Section 4.5.1.1."""
        max_entries = self.max_capacity // 32
        full_range = 2 * max_entries
        if encoded == 0:
            return 0
        if encoded > full_range:
            raise ModelError
        max_value = len(self.entries) + max_entries
        max_wrapped = max_value // full_range * full_range
        required = max_wrapped + encoded - 1
        if required > max_value:
            if required <= full_range:
                raise ModelError
            required -= full_range
        if required == 0:
            raise ModelError
        return required


@dataclass(frozen=True)
class Line:
    """One field line to be encoded: how it refers, to what, and with which literals."""

    form: str
    """static, relative, post-base, static-name, relative-name, post-base-name or literal."""
    index: int
    name: bytes
    value: bytes

    def encode(self) -> bytes:
        value = encode_integer(0, 7, len(self.value)) + self.value
        if self.form == "static":
            return encode_integer(0xC0, 6, self.index)
        if self.form == "relative":
            return encode_integer(0x80, 6, self.index)
        if self.form == "post-base":
            return encode_integer(0x10, 4, self.index)
        if self.form == "static-name":
            return encode_integer(0x50, 4, self.index) + value
        if self.form == "relative-name":
            return encode_integer(0x40, 4, self.index) + value
        if self.form == "post-base-name":
            return encode_integer(0x00, 3, self.index) + value
        return encode_integer(0x20, 3, len(self.name)) + self.name + value

    def decode(self, table: ModelDecoder, required: int, base: int) -> tuple[tuple[bytes, bytes], int]:
        """The field, and the insert count that it needs."""
        if self.form.startswith("static"):
            entry, needs = table.static_entry(self.index), 0
        elif self.form == "literal":
            return (self.name, self.value), 0
        else:
            absolute = base + self.index if self.form.startswith("post") else base - self.index - 1
            if absolute >= required:
                raise ModelError
            entry, needs = table.absolute(absolute), absolute + 1
        return ((entry[0], self.value) if self.form.endswith("-name") else entry), needs


def decode_section(table: ModelDecoder, encoded_count: int, sign: int, delta: int, lines: list[Line]) -> Fields | None:
    """Section 4.5; None when it has to wait. A Required Insert Count larger than needed is an error (section 2.2.1, MAY)."""
    required = table.required_inserts(encoded_count)
    if sign and required <= delta:
        raise ModelError
    base = required - delta - 1 if sign else required + delta
    if required > len(table.entries):
        return None
    decoded = [line.decode(table, required, base) for line in lines]
    if required and max((needs for _, needs in decoded), default=0) != required:
        raise ModelError
    return [entry for entry, _ in decoded]
