"""What a host can tell of a failure, before anything is cleaned."""
