"""Transparent stand-ins: a tree or a sum of few terms in the place of a model, and how true to it.

`fastxai.surrogate` is the door.  A surrogate is fitted to what the *model* answers, never to what
is true, and says first how often it gives the model's answer for rows that it was not fitted to.
"""
