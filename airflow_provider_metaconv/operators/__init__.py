"""Layer 3: thin operators. The logic is in ``extract`` and ``load``."""
