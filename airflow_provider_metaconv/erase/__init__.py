"""Erasing a person: from files and tables, with a suppression list for later runs and a receipt."""
