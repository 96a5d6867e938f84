"""Server push (RFC 9114 section 4.6): both lifecycles as tables, and the half of each role."""
