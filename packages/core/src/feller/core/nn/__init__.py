"""Parts of networks that every domain shares: embeddings, attention, transformers."""
