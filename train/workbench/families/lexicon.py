"""The words the workbench's instructions are made of. Every list is sorted alphabetically.

The judge knows no other words: an animal that is not here is not an animal to it.
"""

# ruff: noqa: SIM905  (lists this long are easier to read and to extend as running text)

from __future__ import annotations

ANIMALS = (
    "ant badger bat bear bee camel cat cow deer dog duck eagle fox frog goat goose hawk horse lamb "
    "lion mole monkey mouse otter owl panda pig rabbit rat seal sheep snake swan tiger whale wolf"
).split()
FRUITS = (
    "apple apricot banana cherry coconut date fig grape guava kiwi lemon lime mango melon olive "
    "orange papaya peach pear plum quince raisin"
).split()
TOOLS = (
    "anvil axe bolt broom brush bucket drill file hammer jack knife ladder nail oven pencil rake "
    "rope saw spade wrench"
).split()
CATEGORIES = {"animals": ANIMALS, "fruits": FRUITS, "tools": TOOLS}
CATEGORY_OF = {word: category for category, words in CATEGORIES.items() for word in words}
WORDS = tuple(sorted(CATEGORY_OF))

PEOPLE = "Ann Ben Cal Dan Eve Fay Gus Ida Jon Kim Leo Mia".split()
COLOURS = "black blue brown green grey pink red white".split()
THINGS = "books cards coins cups eggs marbles shells stamps".split()
GAINS = "buys finds gets wins".split()
LOSSES = "breaks drops loses sells".split()
