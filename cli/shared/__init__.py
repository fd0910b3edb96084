"""What several commands use: the deployed stage, its executions, signed requests, output and failures."""
