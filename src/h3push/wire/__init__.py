"""Bytes on the wire and nothing else: integers, frames, settings, QPACK. No connection, no stream state, no policy.

Floor 1: imports floor 0 (`errors`, `fields`) only. Within the floor each file imports those before it:
`varint`, `registry`, `frames`, `settings`, `reader`, `qpack`.
"""
