"""The screens, asked as a browser would ask."""
