"""Explanation by example: features of whole sets, the images nearest to one, prototypes."""
