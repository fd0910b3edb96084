"""The CDK application: settings, layers, constructs (nouns) and stacks (deployment units)."""
