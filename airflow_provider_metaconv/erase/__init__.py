"""Erasing people and old messages from files and tables: erasures with a suppression list and a receipt, retention."""
