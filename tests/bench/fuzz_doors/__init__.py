"""Send mutated bodies to every endpoint; none may be answered 500 or affect valid items."""
