"""What a model is, shared by every capability that makes, judges, serves or watches one.

Inputs and outputs, the ONNX session, the files of a version with their digests and signature, the endpoint that names who serves,
metrics with their intervals, and the column profile of a training set.
"""
