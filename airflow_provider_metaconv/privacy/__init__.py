"""What of a row is stored: policies, pseudonyms, and the scrubbing of personal data from text."""
