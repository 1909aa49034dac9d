"""What importers share: accounts of tensors, converters, tokenizer files."""
