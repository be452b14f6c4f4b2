"""A ledger in SQLite: the log, its queue and its vault beside the market's own tables."""
