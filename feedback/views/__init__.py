"""The pages that show what came in."""
