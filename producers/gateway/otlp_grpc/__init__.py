"""OTLP over gRPC. Importing the package does not import grpcio; importing its modules does."""
