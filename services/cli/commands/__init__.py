"""The commands, a file per subject. gRPC is imported inside them: `--help` must be quick."""
