"""``python -m redraft.server``: the same as ``redraft serve``."""

import sys

from redraft.server.run import main

sys.exit(main())
