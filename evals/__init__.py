"""What we learn: detectors, judges, golden datasets, exports, regression runs."""
