"""``python -m train.workbench.exact``"""

from __future__ import annotations

import sys

from train.config import program
from train.workbench.exact.serve import main

if __name__ == "__main__":
    sys.exit(program(main))
