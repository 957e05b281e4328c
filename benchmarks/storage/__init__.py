"""What storage costs: reads and writes of a guest, beside SQLite from Python."""
