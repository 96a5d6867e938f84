"""Directories of files over HTTP/3."""
