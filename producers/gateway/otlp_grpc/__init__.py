"""OTLP over gRPC. Only the modules of this package import grpcio, not the package itself."""
