"""Floor 3: thin operators; what they do lives in ``extract`` and ``load``."""
