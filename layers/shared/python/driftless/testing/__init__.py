"""In-memory adapters for tests and laptops; the layer that Lambda gets leaves this package out."""
