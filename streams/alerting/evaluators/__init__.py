"""One module per evaluator defines ``EVALUATOR``; ``streams.alerting.registry`` finds them."""
