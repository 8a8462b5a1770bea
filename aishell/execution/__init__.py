"""A run: inspect, authorise, execute, checkpoint, recover.

A plan comes in, results go out. Each step is authorised as it is now, written as started, run by `running`, verified, and written
as ended; what was killed between the two is looked up in the database when the run is resumed.
"""
