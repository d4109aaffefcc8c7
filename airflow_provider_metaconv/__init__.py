"""Every conversation of your Facebook Pages, from Messenger and Instagram, in files and in a warehouse table."""

__version__ = "0.1.0"
