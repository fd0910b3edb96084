"""Compare deployed stacks with their templates.

An emulator may accept a template and ignore half of it. This package reads the deployed value of every
property of every resource and reports each one that is missing, different or not verifiable.
``comparison`` compares stacks, ``template`` resolves intrinsic functions, ``differences`` compares two
values, and ``readers`` reads the deployed resources through the services' Describe and Get calls. Nothing
here imports the emulator, so the comparison also runs against LocalStack or AWS.

    python -m local_cloud fidelity --stage local
"""
