"""Whether tests with many cases run all of them: ``make test-all`` does, ``make test`` runs some."""

from __future__ import annotations

import os

IS_THOROUGH = "METACONV_THOROUGH" in os.environ
