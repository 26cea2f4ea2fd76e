"""OpenTelemetry intake: the wire, the conventions, and how the spans of a trace become one interaction."""
