"""Small datasets that the documents use; made on this machine, without a network."""

from lamart_core.examples import datasets

__all__ = ["datasets"]
