"""Layer 2: from a Page's conversations to files and a manifest that describes exactly what they contain."""
