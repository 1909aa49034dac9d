"""Between strings and token ids, inside the graph: codecs and tokenizers."""
