"""What people can ask for, free of HTTP: each use case takes plain values and returns plain values."""
