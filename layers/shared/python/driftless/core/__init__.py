"""What knows no domain: DuckDB engines, Parquet files, ISO 8601 times, embedded metrics, HTTP problems."""
