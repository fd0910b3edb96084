"""The subcommands of ``driftless``, one module each; a command imports from ``cli.shared`` and from no other command."""
