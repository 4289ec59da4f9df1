"""Import from and export to other harnesses. Each module is imported only where it is used."""
