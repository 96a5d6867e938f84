"""The judgement: what may be pushed for a page, in which order, and what a client was given already.

Nothing here knows a socket, a server or a file: pages and style sheets are given as bytes, plans come out as values.
"""
