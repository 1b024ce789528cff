"""The links of a message: where they stand in its bytes, and how those bytes are changed and nothing else."""
