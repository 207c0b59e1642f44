"""The gateway and the simulated line, over real OPC UA."""
