"""Read and change documents: the rows of the store, and the records that it does not have yet."""
