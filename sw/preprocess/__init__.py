"""From images and recordings to what a model takes.

    image = load_image("cat.png", program.inputs[0])
    outputs = session.run([image])
"""

from kaniwa.preprocess.features import lfbe, mfcc
from kaniwa.preprocess.image import FILTERS, RESIZES, image_size, load_image
from kaniwa.preprocess.microfrontend import microfrontend
from kaniwa.preprocess.normalize import NORMALIZATIONS, default_normalization, normalize
from kaniwa.preprocess.wav import FEATURES, default_features, load_wav, read_wav

__all__ = ["load_image", "image_size", "normalize", "default_normalization", "NORMALIZATIONS",
           "RESIZES", "FILTERS", "load_wav", "read_wav", "default_features", "FEATURES", "mfcc",
           "lfbe", "microfrontend"]
