"""Being a witness for others' logs: what it has seen, kept in a file, and a server that answers over HTTP."""
