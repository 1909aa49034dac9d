"""How fast it is: one command per question, see README.md."""
