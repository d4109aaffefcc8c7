"""Whether tests that try many cases of one kind try all of them: ``make test-all`` does, ``make test`` tries some."""

from __future__ import annotations

import os

IS_THOROUGH = "METACONV_THOROUGH" in os.environ
