"""Labels that several processes make, and arrange, at the same moment."""

from __future__ import annotations

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.processes import run_together

SAME_NAMES = """
kind = ln.ULabel(name="kind", is_type=True)
labels = [ln.ULabel(name=f"label {i}", description=f"of {number}") for i in range(5)]
ready()
kind.save()
for label in labels:
    label.save()
many = ln.save([ln.ULabel(name=f"bulk {(i + number) % 20}", type=kind) for i in range(20)])
tell([record.uid for record in (kind, *labels, *sorted(many, key=lambda record: record.name))])
"""

# Each puts one label below the next one: the last edge would close the circle.
CIRCLE = """
labels = ln.ULabel.filter().order_by("name").to_list()
count = len(labels)
lower, upper = labels[number], labels[(number + 1) % count]
ready()
refused = []
try:
    lower.parents.add(upper)
except ln.errors.InvalidArgument:
    refused.append("parents")
try:
    lower.type = upper
    lower.save()
except ln.errors.InvalidArgument:
    refused.append("type")
tell(refused)
"""

RETIRED = """
kind = ln.ULabel.get(name="kind")
if number == 0:
    kind.is_type = False
else:
    kind = ln.ULabel(name=f"{number}", type=kind)
ready()
try:
    kind.save()
    tell("saved")
except (ln.errors.ProtectedError, ln.errors.InvalidArgument) as error:
    tell(type(error).__name__)
"""


@pytest.mark.req("R287", "R293")
def test_one_name_is_one_label(registry: Registry) -> None:
    told = run_together(registry, SAME_NAMES, 6)
    assert len({tuple(uids) for uids in told}) == 1
    assert len(set(told[0])) == 26
    assert sorted(told[0]) == sorted(ln.ULabel.filter().to_list("uid"))


@pytest.mark.req("R294", "R295")
def test_no_circle_is_closed(registry: Registry) -> None:
    ln.save([ln.ULabel(name=name, is_type=True) for name in "abcd"])
    for _ in range(3):
        told = run_together(registry, CIRCLE, 4)
        assert [sum(name in refused for refused in told) for name in ("parents", "type")] == [1, 1]
        for label in ln.ULabel.filter():
            assert label not in list(label.ancestors())
            label.parents.clear()
            label.type = None
            label.save()


@pytest.mark.req("R294")
def test_a_type_that_retires_has_no_members(registry: Registry) -> None:
    for _ in range(3):
        ln.ULabel(name="kind", is_type=True).save()
        told = run_together(registry, RETIRED, 3)
        kind = ln.ULabel.get(name="kind")
        assert kind.is_type == (told[0] == "ProtectedError") == kind.ulabels.exists()
        ln.ULabel.filter(type=kind).delete(permanent=True)
        kind.refresh().delete(permanent=True)
