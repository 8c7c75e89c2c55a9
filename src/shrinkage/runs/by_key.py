"""Access to a record by the names of its fields, for code that reads several of them alike."""

from typing import Any


class ByKey:
    """``record["loss"]`` for ``record.loss``."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """The field of this name, or ``default`` where the record has none."""
        return getattr(self, name, default)
