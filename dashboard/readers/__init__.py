"""Narrow readers of what pipeline, registry and server leave behind: one kind of record a module."""
