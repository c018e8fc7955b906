"""The browser page: its sources in page/, written to a static folder and served from this machine."""
