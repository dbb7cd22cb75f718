"""``python -m aicore_sqllog``: the command line."""

import sys

from aicore_sqllog.cli import main

if __name__ == "__main__":
    sys.exit(main())
