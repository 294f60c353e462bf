"""The table of supported operators: rounding rule, options table, and constraints of each."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.importers import consistency, limits
from kaniwa.importers.operands import Constraint

__all__ = ["OperatorInfo", "OPERATORS"]


@dataclass(frozen=True)
class OperatorInfo:
    """What an operator needs, its rounding rule, and the name of its options table in the file.

    ``consistency`` holds for every sound file (else ``ModelError``), ``limits`` for what kaniwa
    supports (else ``UnsupportedError``).
    """

    kind: str
    rule: str
    options: str
    options_required: bool
    consistency: tuple[Constraint, ...]
    limits: tuple[Constraint, ...]

    @property
    def constraints(self) -> list[str]:
        """One sentence a limit, for users."""
        return [(limit.__doc__ or "").strip() for limit in self.limits]


_WEIGHTED = (
    limits.int8_activations,
    limits.constant_int8_weights,
    limits.symmetric_weights,
    limits.constant_int32_bias,
    limits.known_activation,
    limits.activation_in_range,
)
_POOL = (
    limits.int8_activations,
    limits.same_quantization,
    limits.known_activation,
    limits.activation_in_range,
    limits.window_in_range,
)
_POOL_SHAPES = (
    consistency.operand_count(1, 1),
    consistency.ranks(4),
    consistency.positive_options,
    consistency.window_shape,
)
_RELU_SHAPES = (consistency.operand_count(1, 1), consistency.same_shape)

OPERATORS: dict[str, OperatorInfo] = {
    info.kind: info
    for info in (
        OperatorInfo(
            "CONV_2D",
            "litert_double_rounding",
            "Conv2DOptions",
            True,
            (
                consistency.operand_count(2, 3),
                consistency.ranks(4, 4),
                consistency.positive_options,
                consistency.conv_channels,
                consistency.window_shape,
                consistency.bias_shape,
            ),
            (*_WEIGHTED, limits.window_in_range, limits.no_groups),
        ),
        OperatorInfo(
            "DEPTHWISE_CONV_2D",
            "litert_double_rounding",
            "DepthwiseConv2DOptions",
            True,
            (
                consistency.operand_count(2, 3),
                consistency.ranks(4, 4),
                consistency.positive_options,
                consistency.depthwise_channels,
                consistency.window_shape,
                consistency.bias_shape,
            ),
            (*_WEIGHTED, limits.window_in_range),
        ),
        OperatorInfo(
            "FULLY_CONNECTED",
            "litert_float_half_away",
            "FullyConnectedOptions",
            False,
            (
                consistency.operand_count(2, 3),
                consistency.matrix_weights,
                consistency.fully_connected_shape,
                consistency.bias_shape,
            ),
            (*_WEIGHTED, limits.default_weights_format),
        ),
        OperatorInfo(
            "ADD",
            "litert_add",
            "AddOptions",
            False,
            (consistency.operand_count(2, 2), consistency.broadcast_shape),
            (
                limits.int8_activations,
                limits.known_activation,
                limits.activation_in_range,
                limits.add_multiplier_in_range,
            ),
        ),
        OperatorInfo(
            "SUB",
            "litert_sub",
            "SubOptions",
            False,
            (consistency.operand_count(2, 2), consistency.broadcast_shape),
            (
                limits.int8_activations,
                limits.known_activation,
                limits.activation_in_range,
                limits.add_multiplier_in_range,
            ),
        ),
        OperatorInfo(
            "MUL",
            "litert_mul",
            "MulOptions",
            False,
            (consistency.operand_count(2, 2), consistency.broadcast_shape),
            (
                limits.int8_activations,
                limits.known_activation,
                limits.activation_in_range,
                limits.mul_multiplier_in_range,
            ),
        ),
        OperatorInfo(
            "AVERAGE_POOL_2D", "litert_average_pool", "Pool2DOptions", True, _POOL_SHAPES, _POOL
        ),
        OperatorInfo("MAX_POOL_2D", "exact", "Pool2DOptions", True, _POOL_SHAPES, _POOL),
        OperatorInfo(
            "RELU", "litert_double_rounding", "", False, _RELU_SHAPES, (limits.int8_activations,)
        ),
        OperatorInfo(
            "RELU6",
            "litert_double_rounding",
            "",
            False,
            _RELU_SHAPES,
            (limits.int8_activations, limits.activation_in_range),
        ),
        OperatorInfo(
            "RESHAPE",
            "exact",
            "ReshapeOptions",
            False,
            (consistency.operand_count(1, 2),),
            (limits.same_dtype, limits.constant_shape),
        ),
        OperatorInfo(
            "SOFTMAX",
            "litert_softmax",
            "SoftmaxOptions",
            True,
            (consistency.operand_count(1, 1), consistency.same_shape),
            (
                limits.int8_activations,
                limits.softmax_size,
                limits.softmax_output,
                limits.softmax_beta,
            ),
        ),
    )
}
