"""The controller of a server: it learns from what it sees which pushes pay, and decides at each page what is pushed."""
