"""What the pages draw with: forms, charts, choices and error messages."""
