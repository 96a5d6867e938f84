"""The server: connections, requests, responses and pushes on asyncio."""
