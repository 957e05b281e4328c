"""The components that run scripts, built beforehand; `airssys` looks for them here."""
