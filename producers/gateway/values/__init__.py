"""Parse JSON texts, numbers, amounts and usage objects that clients send, within limits."""
