"""``make bench``: one table of what Driftless costs in time, memory and size, each beside a peer, a limit or an earlier figure.

Ratios against a peer are taken in the same run on the same machine. Nothing here fails on a number: a shared machine is noisy,
and a timed assertion would only teach people to ignore it.
"""
