"""Exit codes of a run: of the process, and in the RunFacts that it leaves."""

OK, CRASHED, BAD_INPUT, ANOMALY, NOT_BLESSED, INTERRUPTED = 0, 1, 2, 3, 4, 130
KILLED = -9  # in place of one that nobody was left to write
