"""What a user can mend about a data set."""

from __future__ import annotations


class IngestError(ValueError):
    """The input cannot be ingested as it is; the message says what is wrong and what to do."""
