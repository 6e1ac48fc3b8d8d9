"""`lockstep doctor`: what this machine lacks, and what to do about it. It changes nothing."""
