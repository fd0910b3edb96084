"""Training: tune candidates, fit the best one, export it to ONNX."""
