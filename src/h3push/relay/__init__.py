"""The near side of a long link: programs speak HTTP/1.1 or HTTP/2 to it, it speaks HTTP/3 with pushes to the origin."""
