"""The APIs of other frameworks: LiteRT's Interpreter, and ONNX Runtime's InferenceSession."""
