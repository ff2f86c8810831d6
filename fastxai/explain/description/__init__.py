"""Sentences about a map: what they are computed from, and how they are put."""

from .text import Description, Descriptions, Sentence, Teller

__all__ = ["Description", "Descriptions", "Sentence", "Teller"]
