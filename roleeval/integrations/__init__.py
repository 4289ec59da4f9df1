"""Ways to and from other harnesses. Each is imported only where it is used; roleeval itself needs none of them."""
