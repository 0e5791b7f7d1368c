"""The program ``agent``: supervised processes and jobs that outlive whoever started them."""
