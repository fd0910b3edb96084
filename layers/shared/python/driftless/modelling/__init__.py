"""What a model is: shared by the capabilities that train, evaluate, register, serve and monitor models.

Inputs and outputs, the ONNX session, the files of a version with their digests and signature, the endpoint's rules, metrics with
confidence intervals, and the column profiles of a training set.
"""
