"""How do lessons in `solutions/` become what students get: stubs, notebooks, the kit?

It imports `lessons` and `judge`, to know checks, points and slips.
"""

import sys

# A check of internationalized addresses that jsonschema takes where it finds it; its grammar takes as long to build as torch
# to load, and notebooks have no such addresses.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
