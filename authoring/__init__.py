"""What an author runs: make a lesson, check it, build its notebooks, preview its page."""
