"""A folder of images, one sub-folder per class."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from shrinkage.data.precision import Array
from shrinkage.data.source import Data
from shrinkage.errors import DataError, listed, shortened, told, warn

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_GREY = ("1", "L", "LA")
_MOST_SIDE = 4096
"""Pixels to resize to: beyond it a few images fill the memory."""
_MOST_NUMBERS = 2**32
"""Of all images together: 16 GiB in float32."""


def read_images(folder: Path, image_size: int | tuple[int, int] | None = None) -> Data:
    """FOLDER/CLASS/IMAGE as float32 (n, channels, height, width) in 0…1.

    Classes are the names of the sub-folders, sorted; hidden files and files of other types are
    passed over. Channels: 1 where all images are grey, else 3 (transparency is dropped).
    ``image_size`` (pixels: a side, or height and width) resizes all,
    whatever their aspect; without it they must agree.

    Raises :class:`DataError` for no sub-folders, one without images, a file that cannot be read
    (naming it), images of more than 8 bits a channel, and sizes that differ.
    """
    size = _checked_size(image_size)
    files = {path.name: _files(path) for path in _folders(folder)}
    paths = list(chain.from_iterable(files.values()))
    heads = [_head(path) for path in paths]
    mode = "L" if all(head.mode in _GREY for head in heads) else "RGB"
    _check_total(folder, size or heads[0].size, len(paths), mode)
    _warn_of_frames(folder, [path for path, head in zip(paths, heads, strict=True) if head.moves])
    counts = torch.tensor([len(found) for found in files.values()])
    return Data(
        name=folder.name,
        x=_stacked(folder, paths, mode, size).float().div_(255),
        y=torch.arange(len(files)).repeat_interleave(counts),
        task="classification",
        classes=tuple(files),
    )


def _stacked(folder: Path, paths: list[Path], mode: str, size: tuple[int, int] | None) -> Tensor:
    """The images as bytes (n, channels, height, width)."""
    pixels: list[Array] = []
    for path in paths:
        pixels.append(_pixels(path, mode, size))
        shape = pixels[0].shape[:2]
        if pixels[-1].shape[:2] != shape:
            raise DataError(
                f"{folder.name}: images differ in size",
                got=f"{_size(shape)} in {_short(paths[0])}, "
                f"{_size(pixels[-1].shape)} in {_short(path)}",
                expected="one size for all",
                remedy="Pass image_size=… to resize them (height, width in pixels).",
            )
    stacked = np.stack(pixels).reshape(len(pixels), *shape, -1)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(stacked, -1, 1)))


def _checked_size(size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if (
        len(sides) != 2
        or not all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides)
        or not all(1 <= side <= _MOST_SIDE for side in sides)
    ):
        raise DataError(
            "image_size is no size",
            got=shortened(repr(size)),
            expected=f"a side of 1 to {_MOST_SIDE} pixels, or (height, width)",
            remedy="Pass image_size=32, for instance.",
        )
    return int(sides[0]), int(sides[1])


def _check_total(folder: Path, shape: tuple[int, int], count: int, mode: str) -> None:
    """Refuse images that together would not fit into memory, before any is decoded."""
    total = count * shape[0] * shape[1] * len(mode)
    if total > _MOST_NUMBERS:
        raise DataError(
            f"{folder.name}: the images are too large together",
            got=f"{count} images of {_size(shape)}, {total:,} numbers",
            expected=f"at most {_MOST_NUMBERS:,}",
            remedy="Pass a smaller image_size=… (height, width in pixels).",
        )


def _warn_of_frames(folder: Path, moving: list[Path]) -> None:
    if moving:
        warn(
            f"{folder.name}: {len(moving)} images have several frames, and the first one is taken: "
            f"{listed([_short(path) for path in moving])}",
        )


def _folders(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not found:
        raise DataError(
            f"{folder.name}: no sub-folders",
            got=f"{sum(1 for _ in folder.iterdir())} files",
            expected="one sub-folder of images per class",
            remedy="Move the images of each class into a folder named after it.",
        )
    return found


def _files(folder: Path) -> list[Path]:
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    found = [p for p in entries if p.is_file() and p.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(
            f"{_short(folder)}: no images",
            got=listed([p.name for p in entries]) or "an empty folder",
            expected=f"files with a suffix of {', '.join(sorted(SUFFIXES))}",
            remedy="Give the folder that holds one sub-folder of images per class.",
        )
    return found


@dataclass(frozen=True)
class _Head:
    """An image before it is decoded: (height, width), mode, and whether it has several frames."""

    size: tuple[int, int]
    mode: str
    moves: bool


def _head(path: Path) -> _Head:
    with _reading(path), Image.open(path) as file:
        head = _Head((file.height, file.width), file.mode, getattr(file, "n_frames", 1) > 1)
    if head.mode.startswith(("I", "F")):
        raise DataError(
            f"image {_short(path)} has more than 8 bits a channel",
            got=f"mode {head.mode}",
            expected="8 bits: grey or colour",
            remedy="Convert the images, or give them as an .npz file of floats.",
        )
    return head


def _pixels(path: Path, mode: str, size: tuple[int, int] | None) -> Array:
    """The decoded image, upright, in one mode and size."""
    with _reading(path), Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert(mode)
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.array(image, dtype=np.uint8)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Pillow's decoders raise errors of many types for a broken file."""
    try:
        yield
    except Exception as error:
        raise DataError(
            f"image {_short(path)} cannot be read",
            got=shortened(told(error)),
            expected="an image file, in grey or colours that Pillow converts to RGB",
            remedy="Replace it or delete it.",
        ) from error


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]}"
