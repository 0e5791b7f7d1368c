"""A measurement against its own history."""
