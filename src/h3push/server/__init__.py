"""What a server serves: a directory, with its pushes, under a certificate made for it."""
