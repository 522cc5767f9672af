"""``python -m edgeconv``: the same program as the ``edgeconv`` command."""

import sys

from edgeconv.cli import main

if __name__ == "__main__":
    sys.exit(main())
