"""The networks that are measured: their class, their targets, and the function that builds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kaniwa.benchmark.networks.attention import conformer, vit_tiny
from kaniwa.benchmark.networks.mobile import (
    efficientnet_lite0,
    mcunet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3_small,
)
from kaniwa.benchmark.networks.network import NetworkFile
from kaniwa.benchmark.networks.pixels import blazeface, pose, ssdlite_head, unet
from kaniwa.benchmark.networks.recurrent import denoiser_gru, speech_enhancement, tcn
from kaniwa.benchmark.networks.residual import resnet18, resnet50, squeezenet
from kaniwa.errors import InputError

__all__ = ["CLASSES", "NETWORKS", "Entry", "pick_networks"]

CLASSES = {"cnn": "int8 CNNs", "uint8": "uint8", "transformer": "transformers",
           "recurrent": "recurrent"}


@dataclass(frozen=True)
class Entry:
    """A network. ``size``: of the image or the sequence; ``small``: the least that makes sense.

    ``runs``: targets on which it runs where a device is asked for and no network is named.
    """

    key: str
    title: str
    family: str
    build: Callable[..., NetworkFile]
    size: int
    small: int
    targets: tuple[str, ...] = ("base", "large")
    runs: tuple[str, ...] = ()


NETWORKS = (
    Entry("mobilenet_v1", "MobileNetV1", "cnn", mobilenet_v1, 224, 32),
    Entry("mobilenet_v2", "MobileNetV2", "cnn", mobilenet_v2, 224, 32, runs=("large",)),
    Entry("mobilenet_v3", "MobileNetV3 small", "cnn", mobilenet_v3_small, 224, 32),
    Entry("efficientnet_lite0", "EfficientNet-Lite0", "cnn", efficientnet_lite0, 224, 32),
    Entry("mcunet", "MCUNet", "cnn", mcunet, 176, 32),
    Entry("resnet18", "ResNet-18", "cnn", resnet18, 224, 32, runs=("large",)),
    Entry("resnet50", "ResNet-50", "cnn", resnet50, 224, 32),
    Entry("squeezenet", "SqueezeNet 1.1", "cnn", squeezenet, 224, 32),
    Entry("unet", "U-Net, 16 channels", "cnn", unet, 128, 16),
    Entry("ssdlite", "SSDLite head", "cnn", ssdlite_head, 320, 64),
    Entry("blazeface", "BlazeFace", "cnn", blazeface, 128, 32),
    Entry("pose", "pose, feature pyramid", "cnn", pose, 192, 64),
    Entry("tcn", "dilated TCN", "cnn", tcn, 128, 8),
    Entry("mobilenet_v1_uint8", "MobileNetV1, uint8", "uint8",
          partial(mobilenet_v1, dtype="uint8"), 224, 32),
    Entry("conformer", "keyword conformer", "transformer", conformer, 98, 16, ("base_vector",)),
    Entry("vit_tiny", "ViT-tiny", "transformer", vit_tiny, 224, 32, ("base_vector",)),
    Entry("dtln", "speech enhancement, LSTM", "recurrent", speech_enhancement, 8, 2,
          ("base_recurrent",)),
    Entry("rnnoise", "noise suppression, GRU", "recurrent", denoiser_gru, 8, 2,
          ("base_recurrent",)),
)


def pick_networks(names: str | None) -> list[Entry]:
    """The networks that a comma-separated list names, in its order; all for None."""
    if names is None:
        return list(NETWORKS)
    known = {entry.key: entry for entry in NETWORKS}
    for name in names.split(","):
        if name not in known:
            raise InputError(f"unknown network '{name}': give some of {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names.split(","))]
