"""What the cloud has acknowledged survives the death of its process, kill -9 included.

MiniStack keeps its state in memory and writes it on a clean stop. Here the data plane is written before it is
acknowledged: S3 objects as files put in place all or nothing (``objects``), DynamoDB writes and starts of executions as
journals replayed at the next start (``tables``, ``executions``), messages with their queues (``queues``). The control
plane (stacks, functions, keys, parameters) is small and changes rarely, so it is saved whole shortly after each change
(``snapshots``), and a resource that data is about to depend on is saved before that data. ``recovery`` puts right what
was under way when the process died, ``expiry`` forgets what AWS would. Power loss is another matter: nothing is forced
to the disk.
"""
