"""The same application over HTTP/1.1 and HTTP/2, on the TCP port of the same number."""
