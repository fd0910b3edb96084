"""Judge a challenger by its scored predictions: parity, the naive predictor, absolute bounds, the champion, slices."""
