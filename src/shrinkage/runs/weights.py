"""The weights of a run: a safetensors file per key, checked whenever it is read."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from shrinkage.runs.atomic import write_atomic
from shrinkage.runs.checksums import bytes_checksum, file_checksum
from shrinkage.runs.failures import START_ANEW, damaged

_AGAIN = f"Repeat the command that the run was begun with: it computes them again. {START_ANEW}"


class WeightStore:
    """The files of weights in a run folder, and their checksums as far as they are known."""

    def __init__(self, folder: Path, remedy: str = _AGAIN) -> None:
        self.folder, self._remedy = folder.absolute() / "weights", remedy
        self.checksums: dict[str, str] = {}

    def save(self, key: str, tensors: Mapping[str, Tensor]) -> dict[str, str]:
        """Store tensors; returns the file's name and checksum. Tied ones are stored each."""
        own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        name, data = _file(key), save(own)
        write_atomic(self.folder / name, data)
        written = {name: bytes_checksum(data)}
        self.checksums |= written
        return written

    def load(self, key: str) -> dict[str, Tensor]:
        """The tensors stored under ``key``; :class:`RunError` unless they are as they were."""
        name = _file(key)
        path, known = self.folder / name, self.checksums.get(name)
        try:
            if known is not None and file_checksum(path) != known:
                raise ValueError("it is not what was written: its checksum is another")
            return dict(load_file(path))
        except (OSError, ValueError, SafetensorError) as error:
            why = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
            raise damaged(path, why, START_ANEW if known is None else self._remedy) from None

    def is_known(self, key: str) -> bool:
        """Were weights stored under ``key``, or are there any?"""
        name = _file(key)
        return name in self.checksums or (self.folder / name).exists()

    def has(self, files: Mapping[str, str]) -> bool:
        """Are all these files there, with these checksums?"""
        try:
            return all(file_checksum(self.folder / name) == told for name, told in files.items())
        except OSError:
            return False


def _file(key: str) -> str:
    return key.replace("/", "_") + ".safetensors"
