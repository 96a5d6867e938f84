"""QUIC: the adapter between the protocol core and the native module `h3push._quic`."""
