"""What to watch: metric buckets, alert rules, alerts, the health page."""
