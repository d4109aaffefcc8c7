"""Local servers that speak the protocols of Google Cloud Storage and BigQuery: `servers` has the public API."""
