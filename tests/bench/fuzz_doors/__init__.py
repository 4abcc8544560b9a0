"""Mutated bodies against every door: how many of them are answered 500, and whether good items beside them are accepted."""
