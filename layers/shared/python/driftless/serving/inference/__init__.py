"""Serving predictions: a typed HTTP API over verified ONNX models, with a journal line for each prediction.

``schema`` types the request from the project definition, ``routing`` decides who answers, ``champions`` keeps the models that
serve, ``journal`` writes what was answered, ``app`` puts them behind HTTP. Nothing here imports boto3 or training libraries.
"""
