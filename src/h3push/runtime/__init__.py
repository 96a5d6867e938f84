"""The asyncio runtime that servers and clients share: one endpoint, content in both directions, settings."""
