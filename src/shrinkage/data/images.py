"""A folder of images, one sub-folder per class."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from shrinkage.data.arrays import Array
from shrinkage.data.source import Data, listed
from shrinkage.errors import DataError, told

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_GREY = ("1", "L", "LA")


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
    images = [(path, _open(path)) for paths in files.values() for path in paths]
    mode = "L" if all(image.mode in _GREY for _, image in images) else "RGB"
    first, shape = images[0][0], size or (images[0][1].height, images[0][1].width)
    pixels = [_pixels(image, mode, size) for _, image in images]
    for (path, _), array in zip(images, pixels, strict=True):
        if array.shape[:2] != shape:
            raise DataError(
                f"{folder.name}: images differ in size",
                got=f"{_size(shape)} in {_short(first)}, {_size(array.shape)} in {_short(path)}",
                expected="one size for all",
                remedy="Pass image_size=… to resize them (height, width in pixels).",
            )
    stacked = np.stack(pixels).reshape(len(pixels), *shape, -1)
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(stacked, -1, 1)))
    labels = [label for label, paths in enumerate(files.values()) for _ in paths]
    return Data(
        name=folder.name,
        x=x.float().div_(255),
        y=torch.tensor(labels, dtype=torch.int64),
        task="classification",
        classes=tuple(files),
    )


def _checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise DataError(
            "image_size is no size",
            got=size,
            expected="a side in pixels, or (height, width)",
            remedy="Pass image_size=32, for instance.",
        )
    return pair


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


def _open(path: Path) -> Image.Image:
    """The decoded image; Pillow's decoders raise errors of many types for a broken file."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
    except Exception as error:
        raise DataError(
            f"image {_short(path)} cannot be read",
            got=told(error),
            expected="an image file",
            remedy="Replace it or delete it.",
        ) from error
    if image.mode.startswith(("I", "F")):
        raise DataError(
            f"image {_short(path)} has more than 8 bits a channel",
            got=f"mode {image.mode}",
            expected="8 bits: grey or colour",
            remedy="Convert the images, or give them as an .npz file of floats.",
        )
    return image


def _pixels(image: Image.Image, mode: str, size: tuple[int, int] | None) -> Array:
    image = image.convert(mode)
    if size is not None:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(image, dtype=np.uint8)


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]}"
