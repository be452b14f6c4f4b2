"""Rights: what licenses, machine terms and reservations allow. Pure functions; unknown never becomes yes.

>>> from provenance.rights import adapt
>>> adapt("CC-BY-SA-4.0", "CC-BY-4.0").verdict
'forbidden'
"""

from provenance.rights.compatibility import check_derivation
from provenance.rights.creative_commons import adapt, collect, remix, use_for_ai
from provenance.rights.datasets import DatasetClass, aggregate, class_of
from provenance.rights.findings import Finding, Verdict
from provenance.rights.licenses import License, parse_license
from provenance.rights.machine_terms import Child, Parent, combine_lists, expiry, has_expired
from provenance.rights.reservations import combine, parse_aipref, parse_cawg, parse_tdmrep, to_uses, with_grant
from provenance.rights.robots import RobotsAnswer, read_robots
from provenance.rights.rsl import Rsl, RslAnswer, parse_rsl

__all__ = [
    "Child",
    "DatasetClass",
    "Finding",
    "License",
    "Parent",
    "RobotsAnswer",
    "Rsl",
    "RslAnswer",
    "Verdict",
    "adapt",
    "aggregate",
    "check_derivation",
    "class_of",
    "collect",
    "combine",
    "combine_lists",
    "expiry",
    "has_expired",
    "parse_aipref",
    "parse_cawg",
    "parse_license",
    "parse_rsl",
    "parse_tdmrep",
    "read_robots",
    "remix",
    "to_uses",
    "use_for_ai",
    "with_grant",
]
