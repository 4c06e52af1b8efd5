"""Asking a model: the servers' client, the sender, and the fallback on the device."""
