"""A ledger in a database, SQLite or PostgreSQL: the log, its queue and its vault beside the market's own tables."""
