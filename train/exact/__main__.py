"""``python -m redraft.train.exact``"""

from __future__ import annotations

import sys

from redraft.train.config import program
from redraft.train.exact.serve import main

if __name__ == "__main__":
    sys.exit(program(main))
