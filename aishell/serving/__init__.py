"""What a daemon serves while it runs: answers to what waits, on a socket of the host; whether it is well, to monitors."""
