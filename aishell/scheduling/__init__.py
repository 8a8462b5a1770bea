"""Schedules: nominal times, decisions on due and missed ones, and the daemon that starts runs."""
