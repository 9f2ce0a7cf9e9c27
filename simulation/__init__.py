"""The whole house in one process, on virtual time, by seed: see docs/SIMULATION.md."""
