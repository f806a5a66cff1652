"""What can go wrong while exploring; each with a message for a person."""

from __future__ import annotations


class ExploreError(Exception):
    """Something that the user gave, or that a search needs, is not as it must be."""


class ExploreFailed(Exception):
    """A job failed: the model or the search is at fault."""


class WorkersGone(Exception):
    """Whoever worked is not there any more, and nobody can be found in their place: the search can go on later."""
