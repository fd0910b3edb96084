"""The project definition: ``project.toml`` as one typed model, checked at synthesis and at run time."""
