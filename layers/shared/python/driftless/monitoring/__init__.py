"""Judges windows of predictions: did the inputs change (drift), is the model worse (harm)?

``window`` reads predictions and labels, ``performance`` measures the labelled ones, ``detectors``
test for drift and harm, ``profiles`` prepares the columns and ``drift`` judges them, ``levels`` turns
signals into the two published levels, ``collection`` counts predictions that never reached the
lake. The steps are ``step`` (judge a window) and ``governor`` (decide about a retraining).
"""
