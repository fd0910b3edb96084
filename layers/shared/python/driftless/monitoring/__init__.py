"""Judging a window of predictions: did the inputs move (drift), and did it hurt (harm)?

``window`` reads predictions and labels of a stretch of event time, ``drift`` compares profiles with the champion's baseline,
``performance`` compares the primary metric with its reference, ``levels`` decides what is raised, ``step`` puts them together.
"""
