"""The parts of benches/run. Python's standard library only."""
