"""What is so on a host: looks, and changes nothing."""
