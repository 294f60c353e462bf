"""Networks over time: LSTM, GRU, and dilated convolutions."""

from __future__ import annotations

import numpy as np

from kaniwa.benchmark.networks.blocks import sigmoid, tanh
from kaniwa.benchmark.networks.network import Network, NetworkFile

__all__ = ["denoiser_gru", "speech_enhancement", "tcn"]

BINS, FRAME, ENCODED, CELLS = 257, 512, 256, 128   # of DTLN
BANDS, GAINS = 42, 22                              # of RNNoise
KEYS, HIDDEN, TAPS = 88, 150, 6                    # of the network of piano rolls
CELL_SCALE = 2.0 ** -11


def speech_enhancement(seed: int = 0, size: int = 8) -> NetworkFile:
    """DTLN (Westhausen and Meyer, arXiv:2005.07551), both of its cores, over ``size`` frames.

    The first takes magnitudes of 257 bins, the second a frame of 512 samples through 256
    features; each has two LSTMs of 128 cells and a mask. The normalization before the second is
    left out, and the transforms between the two.
    """
    network = Network(f"speech_enhancement_{size}", seed)
    spectrum, frame = network.input(1, size, BINS), network.input(1, size, FRAME)
    masked = network.mul(spectrum, _mask(network, spectrum))
    features = network.fully_connected(frame, ENCODED)
    cleaned = network.mul(features, _mask(network, features))
    return network.file((spectrum, frame), (masked, network.fully_connected(cleaned, FRAME)))


def denoiser_gru(seed: int = 0, size: int = 8) -> NetworkFile:
    """RNNoise (Valin, arXiv:1709.08243, figure 2): three GRUs of 24, 48 and 96 cells.

    Unrolled over ``size`` frames: a layer of the inputs of all frames, then for each frame a
    layer of the state and the gates. First states are inputs, last ones results.
    """
    network = Network(f"denoiser_gru_{size}", seed)
    bands = network.input(size, BANDS)
    dense = tanh(network, network.fully_connected(bands, 24))
    states = [network.state(1, cells) for cells in (24, 48, 96)]
    voice, first = _gru(network, dense, states[0])
    noise, second = _gru(network, network.concatenation([dense, voice, bands], 1), states[1])
    clean, third = _gru(network, network.concatenation([voice, noise, bands], 1), states[2])
    gains = sigmoid(network, network.fully_connected(clean, GAINS))
    activity = sigmoid(network, network.fully_connected(voice, 1))
    return network.file((bands, *states), (gains, activity, first, second, third))


def tcn(seed: int = 0, size: int = 128) -> NetworkFile:
    """A temporal convolutional network (Bai et al., arXiv:1803.01271, table 2, Nottingham).

    Four levels of two causal convolutions of 6 taps and 150 channels, dilated by 1, 2, 4 and 8,
    over ``size`` steps of 88 keys.
    """
    network = Network(f"tcn_{size}", seed)
    steps = network.input(1, 1, size, KEYS)
    x = steps
    for level in range(4):
        inner, dilation = x, 1 << level
        for _ in range(2):
            past = network.pad(inner, (0, 0), (0, 0), ((TAPS - 1) * dilation, 0), (0, 0))
            inner = network.conv(past, HIDDEN, (1, TAPS), 1, "RELU", "VALID", (1, dilation))
        skip = x if network.shape(x)[3] == HIDDEN else network.conv(x, HIDDEN, 1)
        x = network.add(inner, skip, "RELU")
    return network.file((steps,), (sigmoid(network, network.conv(x, KEYS, 1)),))


def _mask(network: Network, x: int) -> int:
    y = _lstm(network, _lstm(network, x, CELLS), CELLS)
    return sigmoid(network, network.fully_connected(y, network.shape(x)[2]))


def _lstm(network: Network, x: int, cells: int) -> int:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: gates input, forget, cell, output; no peepholes."""
    _, steps, depth = network.shape(x)
    operands = [-1] * 24
    operands[0] = x
    for gate in range(4):
        operands[1 + gate] = network.weights(cells, depth)
        operands[5 + gate] = network.weights(cells, cells)
        step = network.scale_of(x) * network.scale_of(operands[1 + gate])
        operands[12 + gate] = network.zeros("bias", cells, float(np.float32(step)))
    hidden = (1 / 128, 0)
    operands[18] = network.between("int8", hidden, (1, cells), variable=True)
    operands[19] = network.between("int16", (CELL_SCALE, 0), (1, cells), variable=True)
    inner = [network.between("float32") for _ in range(4)] + [network.between("int8", hidden)]
    spread = np.tanh(network.rng.normal(0, 0.4, len(network.sample(x))))
    y = network.activation("lstm", (1, steps, cells), spread, hidden)
    return network.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, y, inner,
                      FusedActivationFunction=4, CellClip=10.0, ProjClip=0.0, TimeMajor=False)


def _gru(network: Network, x: int, state: int) -> tuple[int, int]:
    """All hidden states [steps, cells] and the last one, of a GRU with its reset gate inside."""
    steps, cells = network.shape(x)[0], network.shape(state)[1]
    of_inputs = network.fully_connected(x, 3 * cells)
    states: list[int] = []
    of_state = network.fully_connected(state, 3 * cells)
    for step in range(steps):
        now = network.slice(of_inputs, (step, 0), (step + 1, 3 * cells))
        of_state = network.again(of_state, state) if step else of_state
        parts = [[network.slice(y, (0, k * cells), (1, (k + 1) * cells)) for k in range(3)]
                 for y in (now, of_state)]
        update, reset = (sigmoid(network, network.add(parts[0][k], parts[1][k])) for k in (0, 1))
        candidate = tanh(network, network.add(parts[0][2], network.mul(reset, parts[1][2])))
        change = network.mul(update, network.sub(state, candidate))
        sample = network.rng.uniform(-1, 1, len(network.sample(state)))
        state = network.elementwise("ADD", candidate, change, sample, scale=(1 / 128, 0))
        states.append(state)
    return network.concatenation(states, 0), state
