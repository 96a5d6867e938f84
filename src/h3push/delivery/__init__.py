"""Delivery: how one client gets what goes with a page, by push, 103 Early Hints or Link."""
