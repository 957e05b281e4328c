"""How each language is compiled."""
