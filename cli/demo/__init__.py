"""The whole loop on real data, told step by step: ``python -m cli.demo``.

``flights`` cuts the year of flights into the files and requests that would have arrived month by month, ``replay`` sends them,
``loop`` waits for what the platform does about it, ``story`` puts the steps in order, ``summary`` reads the figures back from the
deployed services. Each step asks the services whether it has already happened, so the demo can be stopped anywhere and run again.
"""
