"""The nouns of the platform: each construct is one thing with its permissions, logs and failure path."""
