"""Whether property tests try many examples: every night they do, in ``make test`` they try a few."""

from __future__ import annotations

import os

IS_THOROUGH = "METACONV_THOROUGH" in os.environ
