"""Does a served model answer as the trained one does?"""
