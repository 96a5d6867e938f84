"""From the words of `h3push get`'s command line to a request."""
