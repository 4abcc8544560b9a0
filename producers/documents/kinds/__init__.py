"""Kinds of documents; each module defines one or more as subclasses of ``DocumentBody``."""
