"""Floor 2: from a Page's conversations to files and a manifest that says exactly what is in them."""
