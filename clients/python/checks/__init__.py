"""What `check.py` asks of a server, a file for each subject. A check is a function whose docstring is the line that is printed."""
