"""QPACK (RFC 9204): field sections in few bytes, over pylsqpack, with the guards that pylsqpack leaves to its caller.

pylsqpack (ls-qpack, in C) does the coding. Around it stand, in the order in which bytes meet them:

* `instructions` reads just enough of QPACK's wire format to judge it: prefixed integers, the section prefix, field lines;
* `table` follows an encoder stream and mirrors the dynamic table's sizes;
* `decoder` refuses what could not have come from a correct encoder and what would grow too large, *before* it is decoded,
  and says on the decoder stream what the peer's encoder needs to know;
* `encoder` keeps secrets out of the dynamic table, holds our table to our own limit whatever the peer allows, and checks
  what the peer's decoder says.

What pylsqpack 1.0 (ls-qpack 2.7) misses, each guarded here and held to in tests/wire/test_qpack_*.py: there is no limit on
the decoded size; an insertion before Set Dynamic Table Capacity, and one larger than the table, pass; Sign 1 with Required
Insert Count 0 passes; indices and bases are taken modulo 2 * MaxEntries, so that impossible ones alias real entries; a section
without lines, and an empty literal name, are failures; Insert Count Increments are never sent, and received ones are counted
from the increment before instead of the Known Received Count; the never-indexed bit cannot be set; the encoder's table cannot
be smaller than the peer's maximum. What is left: a section whose Base lies more than 2 * MaxEntries beyond its Required Insert
Count is refused although it is legal; no encoder makes one.
"""

from h3push.http.fields import SECRET_NAMES
from h3push.wire.qpack.decoder import STATIC_PREFIX, FieldDecoder
from h3push.wire.qpack.encoder import FieldEncoder
from h3push.wire.qpack.size import FieldSectionTooLarge

__all__ = ["SECRET_NAMES", "STATIC_PREFIX", "FieldDecoder", "FieldEncoder", "FieldSectionTooLarge"]
