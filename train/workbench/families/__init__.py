"""The families of verifiable instructions, by name."""

from __future__ import annotations

from redraft.train.workbench.families.addends import Addends
from redraft.train.workbench.families.arithmetic import PairSum, Story, Total
from redraft.train.workbench.families.family import Family
from redraft.train.workbench.families.lists import Keep, Letters, Reverse, Sort
from redraft.train.workbench.families.naming import Names
from redraft.train.workbench.families.people import Swap

_ALL = (Total, Story, PairSum, Keep, Sort, Reverse, Swap, Letters, Names, Addends)
FAMILIES: dict[str, Family] = {family.name: family() for family in _ALL}
