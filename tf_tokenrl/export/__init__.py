"""SavedModels: signatures, streaming, warm-up records, the model card."""
