"""The embedded AWS cloud: a pinned MiniStack release on loopback that behaves like AWS for the platform.

Outside the server process, ``lifecycle`` starts and stops it, ``deploy`` runs the real CDK CLI against it, ``clients``
opens boto3 sessions on it, and ``fidelity`` compares deployed stacks with their templates. Inside the server process,
``runner`` runs functions as real processes, ``durability`` keeps acknowledged writes on disk, and ``mends`` adds the AWS
behaviour that MiniStack does not have. Imports go down these levels: ``__main__``; ``server``, ``lifecycle``,
``deploy``; ``mends``; ``runner``, ``durability``, ``fidelity``; the other modules. The library in ``layers/`` never
imports this package.
"""
