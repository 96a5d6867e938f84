"""The QUIC side: the contract that the core calls, the native adapter, the emulated network."""
