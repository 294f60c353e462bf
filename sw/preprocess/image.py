"""Image files as model inputs: decoded, resized and normalized, each step by name."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kaniwa.errors import InputError
from kaniwa.extras import needed
from kaniwa.files import check_readable
from kaniwa.preprocess.normalize import normalize as normalize_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["load_image", "image_size", "RESIZES", "FILTERS"]

# crop: the largest centred part of the input's aspect ratio; stretch: all of the image.
RESIZES = ("crop", "stretch")
# Pillow's, which widen their support when they scale down (antialiasing), except for nearest.
FILTERS = ("bilinear", "nearest", "bicubic", "lanczos")
# A file is untrusted: only the decoders of formats that photographs have.
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "WEBP")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def load_image(path: str | PathLike[str], tensor: Any, normalize: str | None = None,
               resize: str = "crop", filter: str = "bilinear") -> np.ndarray:
    """The image in the file at ``path`` as ``tensor`` takes it: an array of its shape and dtype.

    ``tensor`` has name, shape, dtype, scale and zero_point: [1, height, width, channels],
    [1, channels, height, width] with 1 or 3 channels, or [1, height, width]. The image is turned
    upright as its EXIF says and brought to RGB, or to ITU-R 601-2 luma for one channel; what is
    transparent keeps its color. ``resize`` is one of RESIZES, ``filter`` one of FILTERS, done by
    Pillow on bytes; an image of the input's size keeps its pixels. ``normalize`` as in
    ``kaniwa.preprocess.normalize``.

    Raises InputError for a file that is no sound image, a tensor that takes none, unknown names,
    and where Pillow (the extra ``image``) is missing.
    """
    if resize not in RESIZES:
        raise InputError(f"no way to resize '{resize}': give one of {', '.join(RESIZES)}")
    if filter not in FILTERS:
        raise InputError(f"no filter '{filter}': give one of {', '.join(FILTERS)}")
    height, width, channels, channels_first = image_size(tensor)
    image = _decode(Path(path), "RGB" if channels == 3 else "L")
    pixels = np.asarray(_resized(image, width, height, resize, filter))
    values = normalize_pixels(pixels.reshape(height, width, channels), tensor, normalize)
    if channels_first:
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values.reshape(tensor.shape))


def image_size(tensor: Any) -> tuple[int, int, int, bool]:
    """Height, width and channels of the images that ``tensor`` takes; whether channels are first.

    Raises InputError for a shape that is not an image's.
    """
    shape = tuple(tensor.shape)
    if shape[:1] == (1,) and len(shape) == 3:
        return shape[1], shape[2], 1, False
    if shape[:1] == (1,) and len(shape) == 4:
        if shape[3] in (1, 3):
            return shape[1], shape[2], shape[3], False
        if shape[1] in (1, 3):
            return shape[2], shape[3], shape[1], True
    raise InputError(
        f"input '{tensor.name}' has shape {list(shape)}, which is not an image's: [1, height, "
        "width, channels], [1, channels, height, width] (1 or 3 channels) or [1, height, width]")


def _decode(path: Path, mode: str) -> Image:
    """The upright image, decoded in full, of mode "RGB" or "L"."""
    with needed("the reader of images", "image", InputError):
        from PIL import Image, ImageOps
    check_readable(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of a size at which decoding may take all memory, and of damaged EXIF.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.mode not in MODES:
                    raise InputError(f"{path.name}: expected 8 bits a channel, found mode "
                                     f"{image.mode}: convert it")
                image.load()
                return ImageOps.exif_transpose(image).convert(mode)
    except InputError:
        raise
    except Image.UnidentifiedImageError:
        raise InputError(f"{path.name}: not an image in one of the formats {', '.join(FORMATS)}"
                         ) from None
    # A decoder of a damaged file may raise nearly anything.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path.name}: not a sound image: {reason}") from None


def _resized(image: Image, width: int, height: int, resize: str, filter: str) -> Image:
    if image.size == (width, height):
        return image
    from PIL.Image import Resampling

    box = (0.0, 0.0, float(image.width), float(image.height))
    if resize == "crop":
        scale = min(image.width / width, image.height / height)
        across, down = width * scale, height * scale
        left, top = (image.width - across) / 2, (image.height - down) / 2
        # Rounding must not push the box over the edge, which Pillow refuses.
        box = (max(left, 0.0), max(top, 0.0), min(left + across, float(image.width)),
               min(top + down, float(image.height)))
    return image.resize((width, height), Resampling[filter.upper()], box=box)
