"""What came in: interactions, spans, end-user feedback, machine scores. Append-only facts."""
