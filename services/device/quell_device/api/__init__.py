"""The gRPC faces: read the request, call the use case, write the response."""
