"""The TensorFlow Lite interpreter's names: ``import kaniwa.lite as tflite``.

    from kaniwa.lite import Interpreter
"""

from kaniwa.compat.delegates import OpResolverType, load_delegate
from kaniwa.compat.interpreter import Interpreter
from kaniwa.compat.signatures import SignatureRunner
from kaniwa.compat.tensor_details import QuantizationParameters, TensorDetails

__all__ = ["Interpreter", "OpResolverType", "QuantizationParameters", "SignatureRunner",
           "TensorDetails", "load_delegate"]
