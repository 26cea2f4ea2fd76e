"""What people say: queues, rules, tasks, claims, votes, settled labels, taxonomy."""
