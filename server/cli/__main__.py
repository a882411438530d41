"""Run: python -m redraft.server.cli"""

import sys

from redraft.server.cli.menu import main

if __name__ == "__main__":
    sys.exit(main())
