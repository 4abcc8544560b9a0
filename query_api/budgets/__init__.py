"""Read and show budgets."""
