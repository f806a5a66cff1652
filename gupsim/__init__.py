"""What a person runs: engine, scenarios, checkers, reports and the command line of the get_user_pages() model."""
