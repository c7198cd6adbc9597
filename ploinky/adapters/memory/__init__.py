"""The ports in memory: shipped, held to the same contract suites as the real ones, with faults as arguments."""
