"""Coverage-guided fuzzers of the protocol core and the wire layer; see `fuzz/README.md`."""
