"""qlog: the HTTP/3 events of a connection, in the drafts' words."""
