//! A model's name, as a local folder: the shared Hugging Face cache and the hub
