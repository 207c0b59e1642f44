"""OPC UA: the session with a server, and the profiles that turn its words into messages."""
