from __future__ import annotations

import sys
from pathlib import Path

# The components of rollouts, in text.
sys.path.insert(0, str(Path(__file__).parent.parent / "delivery"))
