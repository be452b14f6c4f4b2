"""Classes of collections of data, against the computed classes of 2,311 real ones."""

from __future__ import annotations

import json

import pytest

from provenance.rights import DatasetClass, aggregate, class_of
from provenance.rights.datasets import ACADEMIC

USE = {
    "All": "commercial",
    "Unspecified": "unspecified",
    "NC": "non-commercial",
    "Acad": "academic-only",
    "?": "academic-only",
}
SAME = {
    "Apache-2.0": "Apache License 2.0",
    "Artistic-2.0": "Artistic License 2.0",
    "AFL-3.0": "Academic Free License v3.0",
    "BSD-2-Clause": "BSD 2-Clause License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "C-UDA-1.0": "C-UDA",
    "CC0-1.0": "CC0 1.0",
    "CC-BY-3.0": "CC BY 3.0",
    "CC-BY-4.0": "CC BY 4.0",
    "CC-BY-NC-4.0": "CC BY-NC 4.0",
    "CC-BY-NC-ND-4.0": "CC BY-NC-ND 4.0",
    "CC-BY-NC-SA-4.0": "CC BY-NC-SA 4.0",
    "CC-BY-SA-3.0": "CC BY-SA 3.0",
    "CC-BY-SA-4.0": "CC BY-SA 4.0",
    "CDLA-Permissive-1.0": "CDLA Permissive 1.0",
    "CDLA-Permissive-2.0": "CDLA Permissive 2.0",
    "CDLA-Sharing-1.0": "CDLA Sharing 1.0",
    "EPL-1.0": "EPL 1.0",
    "GPL-2.0-only": "GNU General Public License v2.0",
    "GPL-3.0-only": "GNU General Public License v3.0",
    "ISC": "ISC License",
    "LGPL-2.1-only": "LGPL 2.1",
    "LGPL-3.0-only": "LGPL 3.0",
    "MIT": "MIT License",
    "MPL-2.0": "MPL 2.0",
    "ODC-By-1.0": "ODC BY 1.0",
    "OGL-UK-3.0": "OGL 3.0",
    "LicenseRef-scancode-bigscience-open-rail-m": "BigScience OpenRAIL-M",
    "LicenseRef-scancode-llama-2-license-2023": "Llama 2",
}


def read(triple):
    use, attribution, share_alike = triple
    return DatasetClass(USE[use], attribution != "0", share_alike != "0")


@pytest.fixture(scope="module")
def classes(vectors):
    return json.loads((vectors / "datasets" / "data_provenance" / "license_classes.json").read_text("utf-8"))


def test_the_class_of_every_dataset(vectors, classes):
    named, by_url = classes["named"], classes["custom_by_url"]
    seen = 0
    for line in (vectors / "datasets" / "data_provenance" / "datasets.jsonl").read_text("utf-8").splitlines():
        dataset = json.loads(line)
        found = [
            read(by_url.get(each["url"], ["?", "?", "?"]) if each["name"] == "Custom" else named[each["name"]])
            for each in dataset["licenses"]
        ]
        want = dataset["expected"]
        assert aggregate(found) == (want["use"], bool(want["attribution"]), bool(want["share_alike"])), dataset["id"]
        seen += 1
    assert seen == 2311


@pytest.mark.parametrize("key", SAME)
def test_our_own_classes_are_those_of_the_initiative(key, classes):
    assert class_of(key) == read(classes["named"][SAME[key]])


def test_what_is_not_known_is_academic_only():
    assert class_of("NONE") == class_of("(") == class_of("LicenseRef-house-terms") == ACADEMIC
    assert class_of("MIT AND nope") == ACADEMIC
    assert class_of("MIT OR nope").use == "commercial"
    assert aggregate([DatasetClass("whatever", attribution=False, share_alike=False)]).use == "academic-only"
    assert aggregate([]).use == "unspecified"
