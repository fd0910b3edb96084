"""Where everything is stored: each S3 key, table key and SSM parameter name, written once.

One module per bucket, one for the tables, one for the parameters. Readers, writers, IAM policies and lifecycle rules all use
them, so they cannot disagree. A *prefix* ends with ``/``, a *folder* does not. What these functions return is persisted in
buckets, tables and signed manifests: it never changes.

The modules import only the standard library, because infra reads them at synth and inference at its cold start.
"""
