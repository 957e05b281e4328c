"""Programs that run by themselves, one for each thing to show."""
