"""Registry: an evaluated model becomes a signed version, and a rollout moves the endpoint to it."""
