"""What the design promises about speed, measured: `make bench`, or `python -m benchmarks NAME …`."""
