"""A backup is brought back: beside what is there, in its place, or into scratch."""
