"""Reporting to the fleet: the gateway, records and heartbeats, enrolment, the clock, exports by hand."""
