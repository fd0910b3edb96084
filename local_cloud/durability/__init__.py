"""Acknowledged changes survive the death of the server process, even by kill -9.

MiniStack keeps its state in memory and writes it on a clean stop. Here the data plane is on disk before the response is
sent: S3 objects as files that are replaced atomically (``objects``), DynamoDB writes and starts of executions in
write-ahead logs that are replayed at the next start (``tables``, ``executions``), messages with their queues
(``queues``). The control plane (stacks, functions, keys, parameters) is small and changes rarely, so each service is
saved shortly after a change (``snapshots``), and a resource is saved before data that depends on it. ``recovery``
settles operations that were interrupted, and ``expiry`` removes what AWS would remove. Power loss is not covered:
nothing is flushed to the disk.
"""
