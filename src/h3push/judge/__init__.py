"""The judgement: which pushes pay, how sure we are, and what they cost. Evidence from logs, learning, plans, reports."""
