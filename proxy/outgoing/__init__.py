"""From a request of an application to the answer of its gateway: ordered, sent once, and told truly."""
