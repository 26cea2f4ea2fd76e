"""One command that runs everything: embedded PostgreSQL and broker, web server, worker."""
