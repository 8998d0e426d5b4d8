"""What runs beside users' code, as far as it can be tried without a process."""
