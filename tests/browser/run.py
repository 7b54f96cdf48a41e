"""Runs the tests of the status page. Called by run.sh.

    python run.py BINARY SCREENSHOTS
    python run.py --pictures BINARY DIRECTORY
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import harness  # noqa: E402

if __name__ == "__main__":
    pictures = sys.argv[1] == "--pictures"
    os.environ["BINARY"], os.environ["SCREENSHOTS"] = sys.argv[-2:]
    harness.forget_surroundings()
    harness.close("browser", harness.run(harness.tests_in(HERE, "pictures.py" if pictures else "test_*.py")))
