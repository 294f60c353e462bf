"""From images and recordings to what a model takes.

    image = load_image("cat.png", program.inputs[0])
    outputs = session.run([image])
"""

from kaniwa.preprocess.image import FILTERS, RESIZES, image_size, load_image
from kaniwa.preprocess.normalize import NORMALIZATIONS, default_normalization, normalize

__all__ = ["load_image", "image_size", "normalize", "default_normalization", "NORMALIZATIONS",
           "RESIZES", "FILTERS"]
