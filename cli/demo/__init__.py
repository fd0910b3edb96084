"""The demo: the whole loop on real data, step by step (``python -m cli.demo``).

``flights`` cuts a year of flights into monthly files and requests, ``replay`` sends them, ``loop`` waits for the
platform's reactions, ``predictions`` reads the collected predictions, ``story`` runs the steps in order, and
``summary`` reads the results from the deployed services. Each step first checks in the services whether it is
done. The demo can therefore be stopped at any point and run again.
"""
