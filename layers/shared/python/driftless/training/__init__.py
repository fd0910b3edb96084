"""Training: candidates are tuned, the best one is fitted and exported to ONNX."""
