"""What the CQRS kit costs."""
