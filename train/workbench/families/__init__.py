"""The families of verifiable instructions, by name."""

from __future__ import annotations

from train.workbench.families.addends import Addends
from train.workbench.families.arithmetic import Pair, Story, Total
from train.workbench.families.family import Family
from train.workbench.families.letters import Letters
from train.workbench.families.lists import Keep, Reverse, Sort
from train.workbench.families.naming import Names
from train.workbench.families.people import Swap

_ALL = (Total, Story, Pair, Keep, Sort, Reverse, Swap, Letters, Names, Addends)
FAMILIES: dict[str, Family] = {family.name: family() for family in _ALL}
