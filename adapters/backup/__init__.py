"""A ledger as a folder: taken while the market runs, and put back into any storage that a ledger may lie in.

::

    backup("sqlite:///market.db", "backup/")
    check_backup("backup/")
    restore("backup/", "postgresql+psycopg://…", objects="s3://bucket/log", publish=None)

Keys are never in it: keep them apart.
"""

from adapters.backup.checking import Checked, check_backup
from adapters.backup.manifest import Manifest
from adapters.backup.restoring import Restored, restore
from adapters.backup.writing import Backup, backup

__all__ = ["Backup", "Checked", "Manifest", "Restored", "backup", "check_backup", "restore"]
