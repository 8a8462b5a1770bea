"""What making a backup takes on every engine."""
