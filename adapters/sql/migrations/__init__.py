"""How the tables of one release become those of the next: an Alembic environment of our own.

`adapters.sql.upgrade` runs it. Scripts only add to what they find or change it in place, ask the database nothing (so
that `--plan` can print them), and stand as they were released: a table that changes later is changed by a later script.
"""
