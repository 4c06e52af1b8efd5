"""Alerts: rules, what they find, and who is told."""
