"""Inference: a typed HTTP API over verified ONNX models that logs each prediction.

``schema`` derives the request schema from the project definition, ``routing`` chooses champion or challenger, ``champions``
loads the models that serve, ``predict`` handles one request, ``prediction_log`` writes its lines, and ``app`` is the HTTP API.
No module here imports boto3 or training libraries.
"""
