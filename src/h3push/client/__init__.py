"""The client: a connection, its requests, and the pushes that it receives."""
