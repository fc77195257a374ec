"""HTTP/1.1 as it goes over the wire, for both sides: heads, and the times in which something has to happen."""
