"""The database engine of this site: Django's for PostgreSQL, with a cheaper look at kept connections."""
