"""What the pages read: runs, the served model, the journal and uploaded files."""
