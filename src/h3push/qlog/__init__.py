"""qlog: what HTTP/3 did on a connection, written down as the drafts name it."""
