"""The far side of a relay pair: HTTP/3 and push in front of any server of HTTP/1.1 or HTTP/2."""
