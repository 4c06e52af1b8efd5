"""The durable queue: examinations, their encryption, and the store of their order and state."""
