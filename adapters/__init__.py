"""What plugs the ledger into a market, and an auditor into a log.

::

    ledger = connect("sqlite:///market.db", publish="public/")      # a market operator
    log = open_log("https://market.example/log", policy)            # an auditor

No driver loads before its URL is opened.
"""

from adapters.connect import connect, create, open_log

__all__ = ["connect", "create", "open_log"]
