"""The only place that imports a client library. Each adapter wraps one service behind one port and chains its errors."""
