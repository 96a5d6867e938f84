"""Test HTTP/3 and push without a network: an in-memory pair, a raw peer, an emulated network in virtual time."""
