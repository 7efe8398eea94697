"""The strategy `auto`: a head first, then whatever helps within a budget, each decision with its reason."""
