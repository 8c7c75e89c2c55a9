"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside ``path``, then put it there; on any failure nothing is left behind."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
