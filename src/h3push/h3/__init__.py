"""The sans-IO HTTP/3 core: no socket, no clock, no asyncio. Start with `connection`, then `push.states`."""
