"""The sample project: a fictional cooperative and its assistants, so that every page has something true to show."""
