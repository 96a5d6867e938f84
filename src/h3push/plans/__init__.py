"""Plans: which resources go with a page, and in which order. A plan knows no client and no credit."""
